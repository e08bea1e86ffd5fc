//! Models in Hugging Face's format: opened as two runs that begin from the same weights, and made from a run.

use nitp_core::config::Config;
use nitp_core::data::Tokenizer;
use nitp_core::hugging_face::file;
use nitp_core::train::read_weights;

use super::archive::Files;
use super::corpus::is_built_in;
use super::lane::Lane;
use super::session::{Draft, Failure};
use crate::exchange::{Answer, Opened, Request};
use crate::protocol::{self, Experiment, File, Text};

/// Most bytes of weights. A tab has 4 GiB; weights in halves take twice the space in f32, and each of the two runs
/// holds them three times, with their moments.
const MOST_BYTES: usize = 128 << 20;

/// Opens the files of a folder, from which both runs begin. `text` is the text to train on.
///
/// # Errors
/// The missing, broken or unsupported part.
pub async fn open(files: Files, text: Text) -> Result<Draft, Failure> {
    let is_weights = |name: &str| name.ends_with(".safetensors") && !name.contains('/');
    let bytes: usize =
        files.iter().filter(|(name, _)| is_weights(name)).map(|(_, bytes)| bytes.len()).sum();
    if bytes > MOST_BYTES {
        return Err(Failure::Input(format!(
            "the model's weights have {} MiB; a tab opens up to {} MiB: use the program `nitp`",
            bytes >> 20,
            MOST_BYTES >> 20
        )));
    }
    // The files of other formats and programs are left out.
    let is_needed = |name: &str| {
        is_weights(name) || [file::CONFIG, file::INDEX, file::TOKENIZER].contains(&name)
    };
    let files = files.into_iter().filter(|(name, _)| is_needed(name));
    let files = files.map(|(name, bytes)| File { name, bytes }).collect();
    let Answer::Opened(opened) = ask(Request::Open(files)).await? else {
        return Err(Failure::Input("the answer is not of the request".to_owned()));
    };
    let Opened { config, weights: bytes, tokenizer, end_of_text } = opened;
    let mut config = Config::from_toml(&config).map_err(|error| error.to_string())?;
    let weights = read_weights("the model", &config.clone().next_token_alone(), &bytes)
        .map_err(|error| error.to_string())?;
    drop(bytes);
    let read = Tokenizer::new(&tokenizer, config.model.vocab_size);
    let read = read.map_err(|error| error.to_string())?;
    if let Some(content) = end_of_text.and_then(|id| read.token(id)) {
        config.data.end_of_text = content;
    }
    let tokenizer = Some(tokenizer).filter(|it| !is_built_in(it));
    if tokenizer.is_some() {
        config.data.tokenizer = file::TOKENIZER.to_owned();
    }
    let lanes = protocol::Lane::ALL.to_vec();
    Draft::from_weights(Experiment { config: config.to_toml(), text, tokenizer, lanes }, &weights)
}

/// The files of a folder with a run's model; `weights` is the run's file of weights at `step`.
///
/// # Errors
/// What the format can't hold.
pub async fn files(
    tokenizer: &Tokenizer,
    lane: &Lane,
    step: usize,
    weights: Vec<u8>,
) -> Result<Vec<File>, String> {
    let id = tokenizer.end_of_text();
    let end_of_text = id.and_then(|id| Some((id, tokenizer.token(id)?)));
    let request = Request::Save { config: lane.config.to_toml(), weights, end_of_text };
    let Answer::Saved(mut files) = ask(request).await? else {
        return Err("the answer is not of the request".to_owned());
    };
    for (name, text) in [(file::TOKENIZER, tokenizer.to_json()), (file::CARD, card(lane, step))] {
        files.push(File { name: name.to_owned(), bytes: text.into_bytes() });
    }
    Ok(files)
}

/// A short model card: the last measurement up to `step` and the settings.
fn card(lane: &Lane, step: usize) -> String {
    let mut text = format!(
        "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n- nitp\n---\n\n\
         # {} model\n\nTrained in a browser by `nitp`.\n\n",
        lane.lane.name()
    );
    if let Some(last) = lane.history.evaluations().iter().rfind(|it| it.step <= step) {
        let (step, loss) = (last.step, last.val_loss);
        text += &format!("Held-out loss at step {step}: {loss:.4} nats a token.\n\n");
    }
    text + "```toml\n" + &lane.config.to_toml() + "```\n"
}

/// The answer to a request.
///
/// # Errors
/// Its refusal, or a program that can't be loaded.
async fn ask(request: Request) -> Result<Answer, String> {
    #[cfg(not(target_arch = "wasm32"))]
    let answer = crate::exchange::answer(request);
    #[cfg(target_arch = "wasm32")]
    let answer = crate::link::exchange::ask(request).await?;
    match answer {
        Answer::Failed(words) => Err(words),
        answer => Ok(answer),
    }
}
