//! Workbook part: sheets with their paths, strings, styles and date system.

use std::collections::HashMap;

use quick_xml::events::Event;

use super::super::SheetError;
use super::super::package::{Package, Relation, attribute, of_kind};
use super::strings::Strings;
use super::styles::{self, Look};
use super::{MOST_SHEETS, damaged};

const LIST: &str = "the list of its sheets";

/// Longest path in a zip; many sheets may name the same one.
const LONGEST_PATH: usize = 1 << 10;

/// A worksheet.
pub(super) struct Sheet {
    pub(super) name: String,
    pub(super) visible: bool,
    pub(super) path: String,
}

/// The workbook without its cells.
pub(super) struct Book {
    pub(super) sheets: Vec<Sheet>,
    pub(super) strings: Strings,
    pub(super) styles: Vec<Look>,
    /// Dates count from 1904.
    pub(super) from_1904: bool,
}

impl Book {
    pub(super) fn open(package: &mut Package<'_>) -> Result<Self, SheetError> {
        let root = package.relations("", LIST)?;
        let path = of_kind(&root, "/officeDocument").unwrap_or("xl/workbook.xml").to_owned();
        let relations = package.relations(&path, LIST)?;
        let strings = match of_kind(&relations, "/sharedStrings") {
            Some(path) => Strings::read(package, path)?,
            None => Strings::default(),
        };
        let styles = match of_kind(&relations, "/styles") {
            Some(path) => styles::read(package, path)?,
            None => Vec::new(),
        };
        let mut book = Self { sheets: Vec::new(), strings, styles, from_1904: false };
        book.list(package, &path, &relations)?;
        Ok(book)
    }

    fn list(
        &mut self,
        package: &mut Package<'_>,
        path: &str,
        relations: &HashMap<String, Relation>,
    ) -> Result<(), SheetError> {
        let mut part = package.part(path, LIST)?.ok_or_else(|| damaged(LIST, "it is missing"))?;
        loop {
            match part.next()? {
                Event::Start(element) => match element.local_name().as_ref() {
                    "sheet" => {
                        let Some(id) = attribute(&element, "id") else { continue };
                        let Some(relation) = relations.get(id.as_ref()) else { continue };
                        // Chart sheets and dialogs have no cells.
                        if !relation.kind.ends_with("/worksheet") {
                            continue;
                        }
                        if self.sheets.len() == MOST_SHEETS || relation.path.len() > LONGEST_PATH {
                            return Err(damaged(LIST, "it is too long"));
                        }
                        self.sheets.push(Sheet {
                            name: attribute(&element, "name").unwrap_or_default().into_owned(),
                            visible: attribute(&element, "state")
                                .is_none_or(|state| state == "visible"),
                            path: relation.path.clone(),
                        });
                    }
                    // An extension element of the same name lacks this attribute.
                    "workbookPr" => {
                        if let Some(from) = attribute(&element, "date1904") {
                            self.from_1904 = from == "1" || from == "true";
                        }
                    }
                    _ => (),
                },
                Event::End(element) if element.local_name().as_ref() == "sheets" => return Ok(()),
                Event::Eof => return Err(damaged(LIST, "it ends early")),
                _ => (),
            }
        }
    }
}
