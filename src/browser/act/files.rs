//! Files that are given to pages.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::BrowserError;
use crate::launch;
use crate::page::Page;
use crate::protocol::SetFiles;
use crate::transport::USUAL;

/// A file for a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// The name that the page sees.
    pub name: String,
    pub bytes: Vec<u8>,
}

impl Page {
    /// Writes files to the uploads folder and gives them to a file field.
    pub async fn upload(&self, number: u32, files: Vec<Upload>) -> Result<(), BrowserError> {
        self.node(number).await?;
        let folder = self.running.uploads.clone();
        let paths = launch::blocking(move || write(&folder, &files)).await?;
        self.set_files(number, &paths).await?;
        // The files also answer a chooser of this field.
        self.close_chooser()
    }

    /// Gives files of the uploads folder to a file field.
    pub(crate) async fn set_files(
        &self,
        number: u32,
        paths: &[PathBuf],
    ) -> Result<(), BrowserError> {
        let node = self.node(number).await?;
        let files: Vec<String> =
            paths.iter().map(|path| path.to_string_lossy().into_owned()).collect();
        let set = SetFiles { files: &files, backend_node_id: node.backend };
        match self.running.link.call(Some(&node.session), &set, USUAL).await {
            Err(BrowserError::Refused { message, .. }) if message.contains("file input") => {
                let why = "doesn't accept files; choose the file field next to it".to_owned();
                Err(BrowserError::NotActionable { number, why })
            }
            Err(BrowserError::Refused { .. }) => Err(self.stale(number).await),
            done => done.map(drop),
        }
    }
}

fn write(folder: &Path, files: &[Upload]) -> io::Result<Vec<PathBuf>> {
    let written = files.iter().map(|file| {
        let path = place(folder, &file.name)?;
        fs::write(&path, &file.bytes)?;
        Ok(path)
    });
    written.collect()
}

/// The path for a file of this name, in a new folder, so that names stay unchanged.
pub(crate) fn place(folder: &Path, name: &str) -> io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let own = loop {
        let own = folder.join(NEXT.fetch_add(1, Ordering::Relaxed).to_string());
        match fs::create_dir(&own) {
            Ok(()) => break own,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    };
    Ok(own.join(Path::new(name).file_name().unwrap_or("file".as_ref())))
}
