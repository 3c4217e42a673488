//! Well-formed and malformed XLSX workbooks.

use std::fmt::Write as _;
use std::io::{Cursor, Write as _};

use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, proptest};
use zip::write::{SimpleFileOptions, ZipWriter};

use super::super::{Format, Options, SheetError, Table, read};

fn zipped(parts: &[(&str, &str)]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in parts {
        zip.start_file(*name, SimpleFileOptions::default()).expect("a part");
        zip.write_all(content.as_bytes()).expect("memory takes it");
    }
    zip.finish().expect("a zip").into_inner()
}

const ROOT: &str = r#"<Relationships>
    <Relationship Id="r" Type="x/officeDocument" Target="xl/workbook.xml"/>
    </Relationships>"#;
const STYLES: &str = r#"<styleSheet>
    <numFmts><numFmt numFmtId="170" formatCode="[h]:mm"/>
    <numFmt numFmtId="171" formatCode="00000"/></numFmts>
    <cellStyleXfs><xf numFmtId="14"/></cellStyleXfs>
    <cellXfs><xf numFmtId="0"/><xf numFmtId="14"/><xf numFmtId="22"/><xf numFmtId="170"/><xf numFmtId="171"/></cellXfs></styleSheet>"#;

/// A workbook; each sheet has name, state and content.
struct Made<'a> {
    sheets: &'a [(&'a str, &'a str, &'a str)],
    strings: &'a str,
    properties: &'a str,
}

impl Made<'_> {
    fn bytes(&self) -> Vec<u8> {
        let mut list = format!("<workbook>{}<sheets>", self.properties);
        let mut relations = String::from(
            r#"<Relationships><Relationship Id="s" Type="x/sharedStrings" Target="sharedStrings.xml"/>
               <Relationship Id="f" Type="x/styles" Target="/xl/styles.xml"/>
               <Relationship Id="c" Type="x/chartsheet" Target="charts/1.xml"/>"#,
        );
        let mut parts = vec![
            ("_rels/.rels".to_owned(), ROOT.to_owned()),
            ("xl/styles.xml".to_owned(), STYLES.to_owned()),
        ];
        list.push_str(r#"<sheet name="Chart" r:id="c"/>"#);
        for (at, (name, state, content)) in self.sheets.iter().enumerate() {
            write!(list, r#"<sheet name="{name}" state="{state}" r:id="w{at}"/>"#).expect("a text");
            write!(
                relations,
                r#"<Relationship Id="w{at}" Type="x/worksheet" Target="sheets/{at}.xml"/>"#
            )
            .expect("a text");
            parts.push((format!("xl/sheets/{at}.xml"), (*content).to_owned()));
        }
        parts.push(("xl/workbook.xml".to_owned(), list + "</sheets></workbook>"));
        parts.push(("xl/_rels/workbook.xml.rels".to_owned(), relations + "</Relationships>"));
        parts.push(("XL/SharedStrings.xml".to_owned(), self.strings.to_owned()));
        let parts: Vec<(&str, &str)> =
            parts.iter().map(|(name, content)| (name.as_str(), content.as_str())).collect();
        zipped(&parts)
    }
}

fn sheet(rows: &str) -> String {
    format!(
        "<worksheet><dimension ref=\"A1:XFD1048576\"/><sheetData>{rows}</sheetData><mergeCells/></worksheet>"
    )
}

fn one(rows: &str, strings: &str) -> Vec<u8> {
    Made { sheets: &[("One", "visible", &sheet(rows))], strings, properties: "" }.bytes()
}

fn table(bytes: &[u8]) -> Table {
    read("a.xlsx", bytes, &Options::default()).expect("a table")
}

fn fault(bytes: &[u8]) -> String {
    read("a.xlsx", bytes, &Options::default()).expect_err("no table").to_string()
}

/// A row of inline strings.
fn texts(row: usize, cells: &[&str]) -> String {
    let cells = cells.iter().map(|cell| format!(r#"<c t="inlineStr"><is><t>{cell}</t></is></c>"#));
    format!(r#"<row r="{row}">{}</row>"#, cells.collect::<String>())
}

#[test]
fn a_whole_workbook_is_read_up_to_a_limit() {
    let first = sheet(
        "<row r='2'><c t='inlineStr'><is><t>one</t></is></c></row><row r='9'><c r='B9'><v>2</v></c></row>",
    );
    let long = sheet(&"<row><c><v>1234567890</v></c></row>".repeat(100));
    let sheets =
        [("A", "visible", first.as_str()), ("B", "hidden", &long), ("C", "visible", &first)];
    let bytes = Made { sheets: &sheets, strings: "", properties: "" }.bytes();
    let all = crate::workbook(&bytes, 1 << 20, 1 << 20).expect("a workbook");
    let names: Vec<&str> = all.iter().map(|sheet| sheet.name.as_str()).collect();
    assert_eq!(names, ["A", "B", "C"]);
    let text = |row: &[String]| row.join(",");
    let rows: Vec<String> =
        all[0].rows.iter().map(|row| text(row)).filter(|row| !row.is_empty()).collect();
    assert_eq!(rows, ["one", ",2"]);
    assert!(all.iter().all(|sheet| !sheet.more));
    assert_eq!(all.iter().map(|sheet| sheet.is_hidden).collect::<Vec<_>>(), [false, true, false]);

    let some = crate::workbook(&bytes, 104, 1 << 20).expect("a workbook");
    assert!(!some[0].more && some[1].more && some[2].more);
    assert!(some[1].rows.len() < 20 && some[2].rows.is_empty());
    let bomb = crate::workbook(&bytes, 1 << 20, 1_000);
    assert!(matches!(bomb, Err(SheetError::Inflated { .. })), "{bomb:?}");
}

#[test]
fn cells_however_far_out_are_kept_without_what_lies_between() {
    let rows = "<row r='1'><c r='B1'><v>1</v></c><c r='XFD1'><v>2</v></c></row>\
        <row r='1048576'><c r='XFD1048576' s='1'><v>46096</v></c></row>";
    let sheets = crate::workbook(&one(rows, ""), 1 << 20, 1 << 20).expect("a workbook");
    let far: Vec<(&str, &str)> =
        sheets[0].far.iter().map(|cell| (cell.place.as_str(), cell.text.as_str())).collect();
    assert_eq!(far, [("XFD1", "2"), ("XFD1048576", "2026-03-15")]);
    assert_eq!(sheets[0].rows.iter().map(Vec::len).sum::<usize>(), 2);
    // In a preview, excess cells are cut; a table for import is still rejected.
    let many: String = (0..crate::MAX_FAR + 5)
        .map(|row| format!("<row r='{0}'><c r='XFD{0}'><v>2</v></c></row>", row + 1))
        .collect();
    let sheets = crate::workbook(&one(&many, ""), 1 << 20, 1 << 24).expect("a workbook");
    assert!(sheets[0].more && sheets[0].far.len() == crate::MAX_FAR);
    assert!(fault(&one(rows, "")).contains("XFD"));
}

#[test]
fn a_whole_workbook_shows_numbers_as_people_see_them_and_a_table_has_them_plain() {
    let styles = STYLES.replace("formatCode=\"00000\"", "formatCode=\"&quot;$&quot;#,##0.00\"");
    let rows = sheet("<row><c t='str'><v>sum</v></c></row><row><c s='4'><v>1234.5</v></c></row>");
    let bytes = zipped(&[
        ("_rels/.rels", ROOT),
        ("xl/workbook.xml", "<workbook><sheets><sheet name='A' r:id='w'/></sheets></workbook>"),
        (
            "xl/_rels/workbook.xml.rels",
            "<Relationships><Relationship Id='w' Type='x/worksheet' Target='s.xml'/>\
             <Relationship Id='f' Type='x/styles' Target='styles.xml'/></Relationships>",
        ),
        ("xl/styles.xml", &styles),
        ("xl/s.xml", &rows),
        (
            "xl/_rels/s.xml.rels",
            "<Relationships><Relationship Id='a' Type='x/comments' Target='notes.xml'/>\
             <Relationship Id='b' Type='x/threadedComment' Target='threaded.xml'/></Relationships>",
        ),
        (
            "xl/notes.xml",
            "<comments><comment ref='A1'><text><r><t>[Threaded comment]</t></r></text></comment></comments>",
        ),
        (
            "xl/threaded.xml",
            "<ThreadedComments><threadedComment ref='A2'><text>too &amp; much</text></threadedComment></ThreadedComments>",
        ),
    ]);
    assert_eq!(table(&bytes).rows, [["1234.5"]]);
    let sheets = crate::workbook(&bytes, 1 << 20, 1 << 20).expect("a workbook");
    assert_eq!(sheets[0].rows, [["sum"], ["$1,234.50"]]);
    let comment = &sheets[0].comments[0];
    assert_eq!((comment.place.as_str(), comment.text.as_str()), ("A2", "too & much"));
}

#[test]
fn cells_come_out_as_their_author_sees_them() {
    let strings = r#"<sst uniqueCount="99999999999999"><si><t>name</t></si>
        <si><r><t>A</t></r>
            <rPh><t>ei</t></rPh><r><t xml:space="preserve">nn </t></r></si>
        <si><t> a &amp; b&#10;_x0041_ </t></si></sst>"#;
    let rows = r#"<row r="3">
            <c r="B3" t="s"><v>0</v></c>
            <c r="C3" t="inlineStr"><is><t>at</t></is></c>
            <c r="D3" t="str"><f>A1</f><v>so &lt; so</v></c>
            <c t="inlineStr"><is><t>e</t></is></c>
            <c t="inlineStr"><is><t>f</t></is></c>
            <c t="inlineStr"><is><t>g</t></is></c></row>
        <row r="5">
            <c r="B5" t="s"><v>1</v></c>
            <c r="C5" s="1"><v>46352</v></c>
            <c r="D5" s="2"><v>46352.604166666664</v></c>
            <c r="E5" s="3"><v>1.5</v></c>
            <c r="F5" s="4"><v>1067</v></c>
            <c r="G5" t="b"><v>1</v></c></row>
        <row r="6">
            <c r="B6" t="s"><v>2</v></c>
            <c r="C6" t="e"><v>#N/A</v></c>
            <c r="D6"><f>1+1</f><v>2</v></c>
            <c r="E6"><f>X()</f></c>
            <c r="F6"><v>8.1999999999999993</v></c>
            <c r="G6" t="d"><v>2026-11-26T14:30:00</v></c></row>"#;
    let table = table(&one(rows, strings));
    assert_eq!(table.format, Format::Xlsx);
    assert_eq!(table.headers, ["name", "at", "so < so", "e", "f", "g"]);
    assert_eq!((table.header_row, table.numbers), (3, vec![5, 6]));
    assert_eq!(table.rows[0], ["Ann ", "2026-11-26", "2026-11-26 14:30", "36:00", "01067", "true"]);
    assert_eq!(table.rows[1], ["a & b\nA", "#N/A", "2", "", "8.2", "2026-11-26 14:30"]);
    assert_eq!(table.notes, ["row 6, column E: a formula without a stored result counts as empty"]);
}

#[test]
fn days_may_be_counted_from_1904() {
    let rows = texts(1, &["day"]) + r#"<row r="2"><c s="1"><v>44890</v></c></row>"#;
    let content = sheet(&rows);
    let made = |properties| {
        Made { sheets: &[("One", "visible", &content)], strings: "", properties }.bytes()
    };
    assert_eq!(table(&made(r#"<workbookPr date1904="1"/>"#)).rows, [["2026-11-26"]]);
    assert_eq!(table(&made(r#"<workbookPr/>"#)).rows, [["2022-11-25"]]);
}

#[test]
fn a_sheet_is_chosen_or_the_first_with_something_visible_is_taken() {
    let (one, two) = (sheet(&texts(1, &["a", "b"])), sheet(&texts(1, &["c", "d"])));
    let sheets = [
        ("Hid &amp; den", "hidden", &*one),
        ("Empty", "visible", &*sheet("")),
        ("Two", "visible", &*two),
    ];
    let bytes = Made { sheets: &sheets, strings: "", properties: "" }.bytes();
    let of = |sheet| read("", &bytes, &Options { sheet, ..Options::default() });
    let guessed = of(None).expect("a table");
    assert_eq!(guessed.sheets, ["Hid & den", "Empty", "Two"]);
    assert_eq!((guessed.sheet, guessed.headers), (2, vec!["c".into(), "d".into()]));
    assert_eq!(of(Some(0)).expect("a table").headers, ["a", "b"]);
    assert_eq!(of(Some(1)), Err(SheetError::Empty));
    assert_eq!(of(Some(3)).expect_err("none").to_string(), "there is no sheet 4; this file has 3");
}

#[test]
fn cells_may_come_in_any_order_and_far_away() {
    let rows = r#"<row r="9"><c r="B9"><v>4</v></c><c r="A9"><v>3</v></c></row><row r="2"><c r="A2"><v>1</v></c></row>
        <row><c r="B2"><v>2</v></c></row>"#;
    let rows =
        texts(1, &["x", "y"]) + rows + r#"<row r="1048576"><c r="A1048576"><v>5</v></c></row>"#;
    let far = table(&one(&rows, ""));
    assert_eq!(far.rows, [["1", "2"], ["3", "4"], ["5", ""]]);
    assert_eq!(far.numbers, [2, 9, 1_048_576]);
    let corner = texts(1, &["x", "y"]) + r#"<row><c r="XFD1048576"><v>1</v></c></row>"#;
    assert_eq!(
        fault(&one(&corner, "")),
        "row 1048576 has a cell in column XFD, and the limit is 500 columns"
    );
}

#[test]
fn what_inflates_without_measure_is_stopped() {
    let bomb = one(&format!("<!--{}-->", " ".repeat(1 << 20)).repeat(201), "");
    assert!(bomb.len() < 1 << 20);
    assert_eq!(fault(&bomb), "up to row 1 the file unpacks to more than 200 MB");
    let long = "x".repeat(5 << 20);
    assert!(fault(&one("", &format!("<sst><si><t>{long}"))).contains("the list of its texts"));
    let deep = "<a>".repeat(1_000);
    assert!(fault(&one(&deep, "")).starts_with("this workbook is damaged: sheet \"One\""));
}

#[test]
fn the_first_row_without_room_is_named() {
    let rows: String = (2..=60_000)
        .map(|row| {
            format!(r#"<row r="{row}"><c r="A{row}"><v>1</v></c><c r="B{row}"><v>2</v></c></row>"#)
        })
        .collect();
    let rows = format!("{}{rows}", texts(1, &["name", "at"]));
    let message = fault(&one(&rows, ""));
    assert!(message.starts_with("row 50002 exceeds the limit of 50000 rows"), "{message}");
}

#[test]
fn one_text_in_all_cells_is_counted_each_time() {
    let strings = format!("<sst><si><t>{}</t></si></sst>", "x".repeat(60_000));
    let rows = "<row><c t=\"s\"><v>0</v></c></row>".repeat(5_000);
    assert_eq!(fault(&one(&rows, &strings)), "up to row 3496 the file unpacks to more than 200 MB");
    let strings = format!("<sst><si><t>{}</t></si></sst>", "x".repeat(70_000));
    assert_eq!(fault(&one(&rows, &strings)), "row 1, column A: the text is longer than 64 KB");
    let rows = texts(1, &["a", &"y".repeat(70_000)]);
    assert_eq!(fault(&one(&rows, "")), "row 1, column B: the text is longer than 64 KB");
}

#[test]
fn damage_is_named_with_the_last_cell_that_could_be_read() {
    let torn = "<worksheet><sheetData><row r=\"1\"><c r=\"A1\"><v>1</v></c><c r=\"B1\"";
    let bytes = Made { sheets: &[("One", "visible", torn)], strings: "", properties: "" }.bytes();
    assert_eq!(
        fault(&bytes),
        "this workbook is damaged: sheet \"One\" can't be read after cell A1; open it, save it as \
         XLSX and upload that"
    );
    let lost = r#"<row><c><v>1</v></c></row><row><c t="s"><v>7</v></c></row>"#;
    assert!(fault(&one(lost, "")).contains("after cell A1"));
    for place in ["Z0", "ZZZZZ1", "?", "A99999999999999999999"] {
        assert!(fault(&one(&format!("<row><c r=\"{place}\"/></row>"), "")).contains("damaged"));
    }
    let mut cut = one(&texts(1, &["a"]), "");
    cut.truncate(cut.len() / 2);
    assert!(fault(&cut).starts_with("this workbook is damaged: its container"));
}

#[test]
fn a_panic_of_a_library_is_a_fault_of_the_file() {
    let caught = super::caught::<()>(|| panic!("somewhere deep"));
    assert!(caught.expect_err("no table").to_string().starts_with("this workbook is damaged"));
}

#[test]
fn other_formats_in_a_zip_are_called_by_their_name() {
    let why = |name: &str| fault(&zipped(&[(name, "x")]));
    for (name, wanted) in [
        (
            "mimetype",
            "HQ can't read an OpenDocument file (.ods); save it as XLSX or CSV and upload that",
        ),
        (
            "xl/workbook.bin",
            "HQ can't read a binary Excel file (.xlsb); save it as XLSX or CSV and upload that",
        ),
        (
            "word/document.xml",
            "HQ can't read a Word document; save it as XLSX or CSV and upload that",
        ),
        ("readme.txt", "HQ can't read an archive; save it as XLSX or CSV and upload that"),
    ] {
        assert_eq!(why(name), wanted);
    }
}

proptest! {
    #[test]
    fn a_workbook_with_broken_bytes_ends_in_a_table_or_a_sentence(
        breaks in vec((any::<proptest::sample::Index>(), any::<u8>()), 1..6)
    ) {
        let mut bytes = one(&(texts(1, &["a", "b"]) + &texts(2, &["c", "d"])), "<sst><si><t>x</t></si></sst>");
        for (at, byte) in breaks {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Err(fault) = read("", &bytes, &Options::default()) {
            prop_assert!(!fault.to_string().is_empty());
        }
    }

    #[test]
    fn a_sheet_of_broken_markup_ends_in_a_table_or_a_sentence(
        rows in "(<row r=\"[0-9]\">|</row>|<c r=\"[A-C][0-9]\" t=\"(s|e|b|n|d|str|inlineStr)\">|</c>|<v>|</v>|<is>|<t>|</t>|<f/>|[0-9a#&;.-]){0,30}"
    ) {
        if let Ok(table) = read("", &one(&rows, "<sst><si><t>x</t></si></sst>"), &Options::default()) {
            prop_assert!(table.rows.iter().all(|row| row.len() == table.headers.len()));
        }
    }
}
