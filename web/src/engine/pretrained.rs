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

/// Opens the files of a folder, from which both runs begin. `text` is the text to train on.
///
/// # Errors
/// The missing, broken or unsupported part.
pub async fn open(files: Files, text: Text) -> Result<Draft, Failure> {
    let files = files.into_iter().map(|(name, bytes)| File { name, bytes }).collect();
    let Answer::Opened(opened) = ask(Request::Open(files)).await? else {
        return Err(Failure::Input("the answer is not of the request".to_owned()));
    };
    let Opened { config, weights, tokenizer, end_of_text } = opened;
    let mut config = Config::from_toml(&config).map_err(|error| error.to_string())?;
    let weights = read_weights("the model", &config.clone().next_token_alone(), &weights)
        .map_err(|error| error.to_string())?;
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

/// The files of a folder with a run's model; `weights` is the run's file of weights.
///
/// # Errors
/// What the format can't hold.
pub async fn files(
    tokenizer: &Tokenizer,
    lane: &Lane,
    weights: Vec<u8>,
) -> Result<Vec<File>, String> {
    let id = tokenizer.end_of_text();
    let end_of_text = id.and_then(|id| Some((id, tokenizer.token(id)?)));
    let request = Request::Save { config: lane.config.to_toml(), weights, end_of_text };
    let Answer::Saved(mut files) = ask(request).await? else {
        return Err("the answer is not of the request".to_owned());
    };
    for (name, text) in [(file::TOKENIZER, tokenizer.to_json()), (file::CARD, card(lane))] {
        files.push(File { name: name.to_owned(), bytes: text.into_bytes() });
    }
    Ok(files)
}

/// A short model card: the last measurement and the settings.
fn card(lane: &Lane) -> String {
    let mut text = format!(
        "---\nlibrary_name: transformers\npipeline_tag: text-generation\ntags:\n- nitp\n---\n\n\
         # {} model\n\nTrained in a browser by `nitp`.\n\n",
        lane.lane.name()
    );
    if let Some(last) = lane.history.evaluations().last() {
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
    let answer = crate::link::exchange::ask(&request).await?;
    match answer {
        Answer::Failed(words) => Err(words),
        answer => Ok(answer),
    }
}
