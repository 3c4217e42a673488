//! Tests of the package, with archives as hostile programs write them.

mod archives;
mod findings;
mod hashes;
mod indexes;
mod packages;
mod sources;

use std::io::{Cursor, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;
use zip::CompressionMethod;
use zip::write::{SimpleFileOptions, ZipWriter};

use crate::{File, Package};

const BRIEF: &str = "---\nname: brief\ndescription: Hand work over\n---\n# Brief\n";

fn file(path: &str, text: &str) -> File {
    File { path: path.to_owned(), is_executable: false, bytes: text.as_bytes().to_vec() }
}

fn package(files: &[(&str, &str)]) -> Package {
    let mut all = vec![file("SKILL.md", BRIEF)];
    all.extend(files.iter().map(|(path, text)| file(path, text)));
    Package::from_files("", all).unwrap()
}

/// A package whose instructions are this text.
fn instructing(body: &str) -> Package {
    Package::from_files("", vec![file("SKILL.md", &format!("{BRIEF}{body}\n"))]).unwrap()
}

fn zip(files: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (path, text) in files {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        zip.start_file(*path, options).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

/// A tar entry with a path that the writer of the library would refuse.
fn tar_entry(path: &[u8], kind: tar::EntryType, mode: u32, bytes: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..path.len()].copy_from_slice(path);
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(bytes.len() as u64);
    header.set_mtime(1_700_000_000);
    header.set_cksum();
    let mut entry = [header.as_bytes().as_slice(), bytes].concat();
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

fn tar_gz(entries: &[Vec<u8>]) -> Vec<u8> {
    gzip(&[entries.concat(), vec![0; 1024]].concat())
}
