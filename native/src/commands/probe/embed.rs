//! `nitp embed`: vectors of texts as a NumPy array.

use anyhow::{Result, bail, ensure};

use super::examples::Examples;
use super::{Subject, Weights, layers, tokens};
use crate::args::EmbedArgs;
use crate::output::outln;
use nitp_files::whole_file;

/// `nitp embed`.
///
/// # Errors
/// A run or text that can't be read.
pub fn embed(args: &EmbedArgs) -> Result<()> {
    let model = Subject::of(&args.run, &args.options.device)?;
    let (layers, _) = layers(&args.options.layer, &model.config)?;
    let [layer] = layers[..] else {
        bail!("--layer all: `embed` takes one layer; give its number, or `last`")
    };
    let examples = Examples::read(&args.data)?;
    ensure!(!examples.documents.is_empty(), "no line of the data has a field `text`");
    let tokens = tokens(&examples, &model.tokenizer)?;
    let read = model.vectors(&tokens, &[layer], Weights::Trained, false)?;
    let width = model.config.model.hidden_size;
    let rows = examples.documents.len();
    let values: Vec<f32> =
        read[0].texts[..rows * width].iter().map(|&value| value as f32).collect();
    whole_file::write(&args.out, &npy(&values, [rows, width])?)?;
    outln!("{rows} vectors of {width} numbers in {}", args.out.display());
    Ok(())
}

/// The bytes of a file for `numpy.load`.
fn npy(values: &[f32], [rows, width]: [usize; 2]) -> Result<Vec<u8>> {
    use npyz::WriterBuilder;
    let mut bytes = Vec::new();
    let shape = [rows as u64, width as u64];
    let mut writer =
        npyz::WriteOptions::new().default_dtype().shape(&shape).writer(&mut bytes).begin_nd()?;
    writer.extend(values.iter().copied())?;
    writer.finish()?;
    Ok(bytes)
}
