//! File choosers that a page opens. The browser shows none; the person in control is asked instead.

use std::fs::File;
use std::io;
use std::sync::Arc;

use crate::BrowserError;
use crate::act;
use crate::launch;
use crate::page::Page;
use crate::protocol::ChooserOpened;
use crate::refs::Node;
use crate::tabs::Tab;

/// A page waits for files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chooser {
    /// Ref of the field.
    pub number: u32,
    /// Whether it accepts several files.
    pub takes_many: bool,
}

/// A file to copy to where the browser can read it.
#[derive(Debug)]
pub struct Chosen {
    /// The name that the page sees.
    pub name: String,
    /// The content, read from the current position.
    pub file: File,
}

impl Tab {
    pub(crate) fn opens_chooser(&mut self, opened: ChooserOpened, session: &Arc<str>) {
        let ChooserOpened { frame_id, mode, backend_node_id } = opened;
        let loader = self.frames.get(&frame_id).map(|frame| frame.loader.clone());
        let (Some(loader), Some(backend)) = (loader, backend_node_id) else { return };
        let node = Node { session: Arc::clone(session), frame: frame_id, loader, backend };
        let number = self.refs.number(&node);
        self.chooser = Some(Chooser { number, takes_many: mode == "selectMultiple" });
    }
}

impl Page {
    /// The open chooser. Does not count as a use.
    #[must_use]
    pub fn chooser(&self) -> Option<Chooser> {
        let known = self.running.tabs.lock();
        let tab = known.tab(self.number)?;
        let chooser = tab.chooser?;
        // Another document may have been loaded.
        let node = tab.refs.node(chooser.number)?;
        let frame = tab.frames.get(&node.frame)?;
        (frame.loader == node.loader).then_some(chooser)
    }

    /// Gives files to the open chooser.
    pub async fn choose(&self, files: Vec<Chosen>) -> Result<(), BrowserError> {
        let chooser = self.chooser().ok_or(BrowserError::NoChooser)?;
        self.give(chooser.number, files).await
    }

    /// Gives files to a file field.
    pub async fn give(&self, number: u32, files: Vec<Chosen>) -> Result<(), BrowserError> {
        self.node(number).await?;
        let folder = self.running.uploads.clone();
        let paths = launch::blocking(move || {
            let copied = files.into_iter().map(|mut one| {
                let path = act::place(&folder, &one.name)?;
                io::copy(&mut one.file, &mut File::create(&path)?)?;
                Ok(path)
            });
            copied.collect::<io::Result<Vec<_>>>()
        });
        let paths = paths.await?;
        self.close_chooser()?;
        self.set_files(number, &paths).await
    }

    /// Closes the chooser without files.
    pub fn close_chooser(&self) -> Result<(), BrowserError> {
        self.with_tab(|tab| tab.chooser = None)
    }
}
