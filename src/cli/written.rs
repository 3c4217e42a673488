//! What is too much for flags: the fields of something, as JSON from a file or piped in. They are those of
//! the API, so what is refused names the field as it stands in the file.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::{Map, Value};

use super::door::{Ask, Door};
use super::operate::Place;
use super::reach::CommandError;

/// More than any of the API's bodies may have, in bytes.
const MOST: u64 = 16 << 20;

/// What is made of fields.
#[derive(Args)]
pub struct New {
    #[command(flatten)]
    pub fields: Fields,
    #[command(flatten)]
    pub place: Place,
}

impl New {
    /// Makes it at an address of the API.
    ///
    /// # Errors
    /// As [`Fields::read`], and what was refused.
    pub async fn make(self, door: &Door, path: &str) -> Result<Value, CommandError> {
        let body = Value::Object(self.fields.read()?);
        door.call(Ask::post(path, &body).within(self.place.workspace.as_ref())).await
    }
}

/// What is changed of one.
#[derive(Args)]
pub struct Edit<W: Args> {
    #[command(flatten)]
    pub which: W,
    #[command(flatten)]
    pub fields: Fields,
}

/// Where the fields stand.
#[derive(Args)]
pub struct Fields {
    /// A file with the fields as JSON; - reads standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

impl Fields {
    /// The fields.
    ///
    /// # Errors
    /// When the file cannot be read or is no object of JSON.
    pub fn read(&self) -> Result<Map<String, Value>, CommandError> {
        let name = match self.file == Path::new("-") {
            true => "standard input".to_owned(),
            false => self.file.display().to_string(),
        };
        let failed = |why: String| CommandError::Failed(format!("{name}: {why}"));
        let text = self.text().map_err(|error| failed(error.to_string()))?;
        match serde_json::from_slice(&text) {
            Ok(Value::Object(fields)) => Ok(fields),
            Ok(_) => Err(failed("it must be a JSON object, such as {\"title\": \"…\"}".to_owned())),
            Err(error) => Err(failed(format!("invalid JSON: {error}"))),
        }
    }

    fn text(&self) -> std::io::Result<Vec<u8>> {
        let mut text = Vec::new();
        match self.file == Path::new("-") {
            true => std::io::stdin().lock().take(MOST).read_to_end(&mut text)?,
            false => std::fs::File::open(&self.file)?.take(MOST).read_to_end(&mut text)?,
        };
        Ok(text)
    }
}
