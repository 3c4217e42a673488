//! Folder with the vectors of a workspace: per model a vector file, and next to it the writer's position in the texts.

use std::fs;
use std::path::PathBuf;

use super::{Arena, ArenaError};
use crate::shelf::put;

#[derive(Clone, Debug)]
pub struct Home {
    folder: PathBuf,
}

impl Home {
    /// The folder need not exist.
    #[must_use]
    pub fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Opens the vectors of a model and reads all of them. A file with other content is replaced by an empty one.
    pub fn arena(&self, model: &str, dimensions: usize) -> Result<Arena, ArenaError> {
        let path = self.vectors(model);
        let failed = |source| ArenaError::Io { path: path.clone(), source };
        fs::create_dir_all(&self.folder).map_err(failed)?;
        match Arena::open(&path, model, dimensions) {
            Err(ArenaError::OtherModel { .. } | ArenaError::Foreign { .. }) => {
                fs::remove_file(&path).map_err(failed)?;
                Arena::open(&path, model, dimensions)
            }
            opened => opened,
        }
    }

    /// The stored position for a model; `None` without its vector file.
    #[must_use]
    pub fn place(&self, model: &str) -> Option<String> {
        if !self.vectors(model).is_file() {
            return None;
        }
        // ok: without a position, all texts are compared again.
        fs::read_to_string(self.places(model)).ok()
    }

    /// Stores the position for a model.
    pub fn keep_place(&self, model: &str, place: &str) -> std::io::Result<()> {
        put(&self.places(model), place.as_bytes())
    }

    /// Deletes the vectors of all other models.
    pub fn keep_only(&self, model: &str) -> std::io::Result<()> {
        let own = [self.vectors(model), self.places(model)];
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if !own.contains(&path) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    fn vectors(&self, model: &str) -> PathBuf {
        self.folder.join(format!("{model}.vectors"))
    }

    fn places(&self, model: &str) -> PathBuf {
        self.folder.join(format!("{model}.place"))
    }
}

#[cfg(test)]
mod tests {
    use super::Home;
    use crate::vectors::Entry;

    #[test]
    fn one_model_takes_the_place_of_another_and_what_is_no_file_of_vectors_is_begun_anew() {
        let root = tempfile::tempdir().unwrap();
        let home = Home::at(root.path().join("vectors"));
        assert_eq!(home.place("one"), None);
        let arena = home.arena("one", 2).unwrap();
        arena.append(&[Entry { id: [1; 20], hash: [2; 32], vector: &[0.0, 1.0] }]).unwrap();
        home.keep_place("one", "7").unwrap();
        assert_eq!(home.place("one").as_deref(), Some("7"));
        drop(arena);
        assert_eq!(home.arena("one", 2).unwrap().counts().live, 1);
        assert_eq!(home.arena("one", 3).unwrap().counts().live, 0, "another length, another file");
        home.arena("two", 2).unwrap();
        home.keep_only("two").unwrap();
        assert_eq!(home.place("one"), None);
    }
}
