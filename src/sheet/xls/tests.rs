//! Well-formed and malformed XLS workbooks.

use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, proptest};

use super::super::{Placed, Sheet, SheetError, is_old_workbook, old_workbook};

const MOST: usize = 1 << 20;

fn record(kind: u16, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).expect("a short record");
    [&kind.to_le_bytes()[..], &length.to_le_bytes(), body].concat()
}

fn begin(version: u16, kind: u16) -> Vec<u8> {
    record(super::BOF, &[version.to_le_bytes(), kind.to_le_bytes()].concat())
}

fn end() -> Vec<u8> {
    record(super::EOF, &[])
}

/// A cell record: row, column, format, value.
fn cell(kind: u16, row: u16, column: u16, format: u16, value: &[u8]) -> Vec<u8> {
    let place = [row, column, format].map(u16::to_le_bytes).concat();
    record(kind, &[&place[..], value].concat())
}

/// A compound file with one stream.
fn contained(name: &str, stream: &[u8]) -> Vec<u8> {
    const FREE: u32 = u32::MAX;
    const LAST: u32 = 0xffff_fffe;
    let mut stream = stream.to_vec();
    // Shorter streams would be in mini sectors.
    stream.resize(stream.len().max(4_096).next_multiple_of(512), 0);
    let sectors = u32::try_from(stream.len() / 512).expect("a short stream");
    assert!(sectors <= 126, "the table is one sector");
    let mut head = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1".to_vec();
    head.resize(512, 0);
    let mut put = |at: usize, number: u32| {
        head[at..at + 4].copy_from_slice(&number.to_le_bytes());
    };
    // 512 bytes per sector, directory in the second one, no mini streams from 4,096 bytes, no further FAT sectors.
    put(30, 9);
    put(48, 1);
    put(56, 4_096);
    put(60, LAST);
    put(68, LAST);
    (0..109).for_each(|at| put(76 + 4 * at, if at == 0 { 0 } else { FREE }));
    let chained = (2..2 + sectors).map(|at| if at == 1 + sectors { LAST } else { at + 1 });
    let mut table: Vec<u32> = [0xffff_fffd, LAST].into_iter().chain(chained).collect();
    table.resize(128, FREE);
    let size = u32::try_from(stream.len()).expect("a short stream");
    let entry = |name: &str, kind: u8, child: u32, start: u32, size: u32| {
        let mut entry: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let length = u16::try_from(entry.len() + 2).expect("a short name");
        entry.resize(128, 0);
        entry[64..66].copy_from_slice(&length.to_le_bytes());
        entry[66] = kind;
        for (at, number) in [(68, FREE), (72, FREE), (76, child), (116, start), (120, size)] {
            entry[at..at + 4].copy_from_slice(&number.to_le_bytes());
        }
        entry
    };
    let mut directory = entry("Root Entry", 5, 1, LAST, 0);
    directory.extend(entry(name, 2, FREE, 2, size));
    directory.resize(512, 0);
    let table = table.into_iter().flat_map(u32::to_le_bytes).collect();
    [head, table, directory, stream].concat()
}

/// A workbook with `before` in its globals and one sheet of these records.
fn made(version: u16, before: &[u8], name: &[u8], rows: &[u8]) -> Vec<u8> {
    let head = begin(version, 5);
    let place = head.len() + before.len() + 4 + 6 + name.len() + end().len();
    let place = u32::try_from(place).expect("a short head").to_le_bytes();
    let bound = record(0x85, &[&place[..], &[0, 0], name].concat());
    let stream = [head, before.to_vec(), bound, end(), begin(version, 0x10), rows.to_vec(), end()];
    stream.concat()
}

fn one(before: &[u8], rows: &[u8]) -> Vec<u8> {
    contained("Workbook", &made(0x0600, before, b"\x03\0One", rows))
}

fn read(bytes: &[u8]) -> Vec<Sheet> {
    old_workbook(bytes, MOST).expect("a workbook")
}

fn rows(bytes: &[u8]) -> Vec<Vec<String>> {
    let sheets = read(bytes);
    assert_eq!((sheets.len(), sheets[0].more), (1, false));
    sheets.into_iter().next().expect("a sheet").rows
}

#[test]
fn all_kinds_of_cells_are_read() {
    let formats = [
        record(0x41e, b"\xaa\0\x05\0\x00[h]:m"),
        record(0xe0, &[0, 0, 0, 0]),
        record(0xe0, &[0, 0, 14, 0]),
        record(0xe0, &[0, 0, 0xaa, 0]),
    ];
    let day = 46_352.0_f64.to_le_bytes();
    let text = [0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0];
    let truth = [1, 0, 1, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0];
    let short =
        [&[0_u8, 0][..], &((12_u32 << 2) | 2).to_le_bytes(), &[0, 0], &[3, 0, 0, 0]].concat();
    let several = [&[1_u8, 0, 0, 0][..], &short, &[1, 0]].concat();
    let cells = [
        cell(0x203, 0, 0, 0, &12.5_f64.to_le_bytes()),
        cell(0x203, 0, 1, 1, &day),
        cell(0x203, 0, 2, 2, &1.25_f64.to_le_bytes()),
        cell(0x205, 0, 3, 0, &[1, 0]),
        cell(0x205, 0, 4, 0, &[7, 1]),
        cell(0x204, 0, 5, 0, b"\x02\0\x01K\0\xf6\0"),
        record(0xbd, &several),
        cell(0x006, 2, 0, 0, &text),
        record(0x207, b"\x03\0\0sum"),
        cell(0x006, 2, 1, 0, &truth),
        // A chart on the sheet; its numbers are no cells of the sheet.
        begin(0x0600, 0x20),
        cell(0x203, 9, 9, 0, &day),
        end(),
    ];
    assert_eq!(
        rows(&one(&formats.concat(), &cells.concat())),
        [
            vec!["12.5", "2026-11-26", "30:00", "true", "", "Kö"],
            vec!["12", "0"],
            vec!["sum", "true"],
        ]
    );
}

#[test]
fn texts_go_on_in_the_next_record() {
    let list = [
        record(0xfc, b"\x02\0\0\0\x02\0\0\0\x06\0\x08\x01\0abc"),
        // From here two bytes per character; then formatting runs, and a text with phonetic data.
        record(0x3c, b"\x01d\0\xac\x20f\0\x01\0\x02\0\x02\0\x04\x03\0\0\0Hi"),
        record(0x3c, b"xyz"),
    ];
    let cells = [cell(0xfd, 0, 0, 0, &[0; 4]), cell(0xfd, 0, 1, 0, &[1, 0, 0, 0])];
    assert_eq!(rows(&one(&list.concat(), &cells.concat())), [["abcd€f", "Hi"]]);
    // Index of a missing string.
    assert!(old_workbook(&one(&list.concat(), &cell(0xfd, 0, 0, 0, &[2, 0, 0, 0])), MOST).is_err());
}

#[test]
fn letters_of_a_page_are_read_by_its_number() {
    let before = record(0x42, &1251_u16.to_le_bytes());
    let cells = cell(0x204, 0, 0, 0, b"\x02\0\xc4\xe0");
    let stream = made(0x0500, &before, b"\x01\xdf", &cells);
    let sheets = read(&contained("Book", &stream));
    assert_eq!((sheets[0].name.as_str(), sheets[0].rows[0][0].as_str()), ("Я", "Да"));
}

#[test]
fn what_is_no_workbook_is_told() {
    let word = contained("WordDocument", &[0; 100]);
    assert!(!is_old_workbook(&word) && old_workbook(&word, MOST).is_err());
    assert!(!is_old_workbook(b"") && !is_old_workbook(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"));
    assert!(is_old_workbook(&one(&[], &[])));
    let locked = one(&record(0x2f, &[0; 6]), &[]);
    assert_eq!(old_workbook(&locked, MOST), Err(SheetError::Locked));
    let mut cut = one(&[], &cell(0x203, 0, 0, 0, &[0; 8]));
    cut.truncate(2_000);
    assert!(matches!(old_workbook(&cut, MOST), Err(SheetError::Damaged { .. })));
}

#[test]
fn chains_and_sheets_without_end_end() {
    let mut looping = one(&[], &cell(0x203, 0, 0, 0, &1.0_f64.to_le_bytes()));
    // Directory and stream form endless loops.
    looping[512 + 4..512 + 8].copy_from_slice(&1_u32.to_le_bytes());
    looping[512 + 8..512 + 12].copy_from_slice(&2_u32.to_le_bytes());
    assert!(old_workbook(&looping, MOST).is_ok());
    // Thousands of sheets with the same records.
    let rows: Vec<u8> = (0..200).flat_map(|row| cell(0x205, row, 0, 0, &[0, 1])).collect();
    let place = begin(0x0600, 5).len() + 1_000 * 13 + end().len();
    let place = u32::try_from(place).expect("a short head").to_le_bytes();
    let bound = record(0x85, &[&place[..], &[0, 0, 1, 0, b'S']].concat());
    let stream = [begin(0x0600, 5), bound.repeat(1_000), end(), begin(0x0600, 0x10), rows, end()];
    let same = contained("Workbook", &stream.concat());
    assert!(matches!(old_workbook(&same, MOST), Err(SheetError::Damaged { .. })));
}

#[test]
fn beyond_the_limits_there_is_more() {
    let far = one(&[], &cell(0x205, 0, 0x4000, 0, &[1, 0]));
    let far_cell = Placed { place: "XFE1".to_owned(), text: "true".to_owned() };
    assert_eq!(read(&far)[0].far, [far_cell]);
    let many: Vec<u8> = (0..100).flat_map(|row| cell(0x205, row, 0, 0, &[1, 0])).collect();
    let sheets = old_workbook(&one(&[], &many), 40).expect("a workbook");
    assert_eq!((sheets[0].rows.len(), sheets[0].more), (11, true));
}

proptest! {
    #[test]
    fn a_workbook_with_broken_bytes_ends(
        breaks in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..12)
    ) {
        let list = record(0xfc, b"\x01\0\0\0\x01\0\0\0\x02\0\0Hi");
        let cells = [cell(0xfd, 0, 0, 0, &[0; 4]), cell(0x203, 1, 0, 0, &[0; 8])].concat();
        let mut bytes = one(&list, &cells);
        for (at, byte) in breaks {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        match old_workbook(&bytes, MOST) {
            Ok(sheets) => prop_assert!(sheets.len() < 10),
            Err(fault) => prop_assert!(!fault.to_string().is_empty()),
        }
    }
}
