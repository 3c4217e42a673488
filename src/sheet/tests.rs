//! Guesses, rejections with their positions, and round trips of written CSV.

use proptest::collection::vec;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use super::{CsvWriter, Format, Options, SheetError, Table, read};

fn guessed(text: &str) -> Table {
    read("", text.as_bytes(), &Options::default()).expect("a table")
}

fn with_header(text: &str, row: usize) -> Result<Table, SheetError> {
    read("a.csv", text.as_bytes(), &Options { header_row: Some(row), ..Options::default() })
}

fn fault(text: &str) -> String {
    read("a.csv", text.as_bytes(), &Options::default()).expect_err("no table").to_string()
}

#[test]
fn the_format_is_told_by_the_bytes_and_where_they_are_unsure_by_the_name() {
    let of = |name: &str, text: &str| Format::guess(name, text.as_bytes());
    assert_eq!(of("", "a,b"), Ok(Format::Csv));
    assert_eq!(of("", " \n[1]"), Ok(Format::Json));
    assert_eq!(of("x.txt", "\u{feff}{}"), Ok(Format::Json));
    assert_eq!(of("people.JSON", "x"), Ok(Format::Json));
    assert_eq!(of("people.csv", "[id],name"), Ok(Format::Csv));
    assert_eq!(of("people.xls", "a\tb"), Ok(Format::Csv));
    assert_eq!(of("", "PK,name\n1,x"), Ok(Format::Csv));
}

#[test]
fn the_delimiter_is_guessed_told_or_chosen() {
    for (text, delimiter) in [
        ("name,mail\nA,a@x.org\n", ','),
        ("name;price;at\nA;1,50;Rome, Italy\nB;2,50;Oslo\n", ';'),
        ("name\tat\nA\tRome, Italy\nB\tOslo, Norway\n", '\t'),
        ("name|at\nA|Rome\n", '|'),
        ("name\nA\nB\n", ','),
        ("sep=;\nname;at,by\nA;b,c\n", ';'),
    ] {
        assert_eq!(guessed(text).delimiter, Some(delimiter), "{text}");
    }
    let chosen = |delimiter| {
        let options = Options { delimiter: Some(delimiter), ..Options::default() };
        read("", b"a,b;c\n1,2;3\n", &options)
    };
    assert_eq!(chosen(';').expect("a table").headers, ["a,b", "c"]);
    assert_eq!(chosen(':').expect("a table").headers, ["a,b;c"]);
    assert_eq!(chosen('"'), Err(SheetError::Delimiter('"')));
    assert_eq!(chosen('→'), Err(SheetError::Delimiter('→')));
}

#[test]
fn rows_have_the_numbers_that_a_spreadsheet_shows() {
    for end in ["\n", "\r\n", "\r"] {
        let text = ["", "name,note", "Ann,\"one", "two\"", "", "", "Bob,x", ",", "Eve,\"\"", ""];
        let table = guessed(&text.join(end));
        assert_eq!(table.header_row, 2, "{end:?}");
        assert_eq!(table.numbers, [3, 6, 8], "{end:?}");
        assert_eq!(table.rows[0], ["Ann".to_owned(), format!("one{end}two")]);
        assert_eq!(table.rows[2], ["Eve", ""]);
        assert!(table.notes.is_empty());
    }
    assert_eq!(guessed("sep=;\n\nname;at\nA;B\n").numbers, [4]);
}

#[test]
fn the_header_is_found_below_remarks() {
    let linkedin = "Notes:\n\"When exporting, some mails are missing, as their owners hide them.\"\n\n\
        First Name,Last Name,URL,Email Address,Company,Position,Connected On\n\
        Ann,Lee,https://x.org/in/ann,,Acme,CTO,12 Nov 2026\n\
        Bob,Ray,https://x.org/in/bob,b@x.org,,,11 Nov 2026\n";
    let table = guessed(linkedin);
    assert_eq!((table.header_row, table.headers.len()), (4, 7));
    assert_eq!(table.numbers, [5, 6]);
    let titled = guessed("Report,2026-01-01\n\nname,mail,age\nA,a@x.org,3\n");
    assert_eq!(titled.header_row, 3);
    assert_eq!(guessed("mail\na@x.org\nb@x.org\n").headers, ["mail"]);
    assert_eq!(
        guessed("first,last,\nAnn,Lee,Rome\nBob,Ray,Oslo\n").headers,
        ["first", "last", "Column C"]
    );
    assert_eq!(guessed("name,2024,2025\nA,1,2\n").headers, ["name", "2024", "2025"]);
}

#[test]
fn the_header_row_may_be_chosen() {
    let text = "a,b\nc,d\ne,f\n";
    assert_eq!(with_header(text, 2).map(|table| (table.headers, table.rows)), {
        Ok((vec!["c".into(), "d".into()], vec![vec!["e".into(), "f".into()]]))
    });
    let none = with_header(text, 0).expect("a table");
    assert_eq!(
        (none.headers, none.header_row, none.rows.len()),
        (vec!["Column A".into(), "Column B".into()], 0, 3)
    );
    assert!(none.notes.is_empty());
    assert_eq!(with_header(text, 3).expect("a table").rows.len(), 0);
    assert_eq!(with_header(text, 4), Err(SheetError::NoHeader { row: 4 }));
    assert_eq!(with_header("", 1), Err(SheetError::Empty));
    assert_eq!(with_header("\n , \n", 1), Err(SheetError::Empty));
}

#[test]
fn what_is_odd_is_read_and_told_with_its_row() {
    let table =
        guessed("name,mail, mail ,,at\nA,b\nB,a@x.org,c,,e,f\nC,a@x.org,c,,\nD,a@x.org,c,,e,,,\n");
    assert_eq!(table.headers, ["name", "mail", "mail 2", "at", "Column F"]);
    assert_eq!(table.rows[0], ["A", "b", "", "", ""]);
    assert_eq!(table.rows[1], ["B", "a@x.org", "c", "e", "f"]);
    assert_eq!(
        table.notes,
        [
            "row 1, column C: a second \"mail\" is called \"mail 2\"",
            "row 3: an unnamed column is called \"Column F\"",
            "row 2 has 2 cells, but there are 5 columns",
        ]
    );
    let many = format!("a,b\n{}", "x\n".repeat(300));
    let notes = guessed(&many).notes;
    assert_eq!((notes.len(), notes[100].as_str()), (101, "and 200 more like these"));
}

#[test]
fn torn_quotes_are_named_where_they_open() {
    assert_eq!(
        fault("a,b\nx,\"y\nz,w\n"),
        "row 2, column B: a quotation mark opens here and never \
        closes"
    );
    assert_eq!(
        fault("a,b\n\nx,y\n\"z"),
        "row 4, column A: a quotation mark opens here and never \
        closes"
    );
    assert_eq!(fault("a,b\nx,\""), "row 2, column B: a quotation mark opens here and never closes");
    assert_eq!(guessed("a,b\nx,5\" pipe\n").rows, [["x", "5\" pipe"]]);
}

#[test]
fn more_than_the_limits_is_refused_with_its_place() {
    assert_eq!(
        read("", &vec![b'a'; (20 << 20) + 1], &Options::default()),
        Err(SheetError::TooLarge)
    );
    let rows = format!("Notes:\n\nname,at\n{}", "a,b\n".repeat(50_001));
    assert!(
        fault(&rows).starts_with(
            "row 50004 exceeds the limit of 50000 \
        rows"
        ),
        "{}",
        fault(&rows)
    );
    let rows = format!("name,at\n\n{}", "a,b\n".repeat(60_000));
    assert!(
        fault(&rows).starts_with(
            "row 50003 exceeds the limit of 50000 \
        rows"
        ),
        "{}",
        fault(&rows)
    );
    assert!(fault(&"a,b\n".repeat(200_000)).starts_with(
        "row 50002 exceeds the limit of 50000 \
        rows"
    ));
    let table = guessed(&format!("name,at\n{}", "a,b\n".repeat(50_000)));
    assert_eq!(table.rows.len(), 50_000);
    let wide = format!("a,b\n{}x\n", "x,".repeat(500));
    assert_eq!(fault(&wide), "row 2 has a cell in column SG, and the limit is 500 columns");
    let long = format!("name,note\nA,\n\nB,{}\n", "x".repeat((64 << 10) + 1));
    assert_eq!(fault(&long), "row 4, column B (note): the text is longer than 64 KB");
    let named = format!("name,{}\nA,b\n", "note ".repeat(300));
    assert_eq!(
        with_header(&named, 1).expect_err("long").to_string(),
        "row 1: the name of column B is longer than 1 KB"
    );
    // Few cells, but many once each row is padded to the widest.
    let padded = format!("a,b\n{}{}x\n", "y\n".repeat(40_000), "x,".repeat(99));
    assert!(
        fault(&padded).starts_with("40001 rows of 100 columns are too many"),
        "{}",
        fault(&padded)
    );
}

#[test]
fn the_apostrophe_in_front_of_formulas_is_taken_off() {
    let table = guessed("name,'=sum\nA,'+49 30\nB,'tis\nC,''=x\n");
    assert_eq!(table.headers, ["name", "=sum"]);
    assert_eq!(table.rows, [["A", "+49 30"], ["B", "'tis"], ["C", "'=x"]]);
}

fn cell() -> impl Strategy<Value = String> {
    let sign = prop_oneof![
        Just('\''),
        Just('='),
        Just('+'),
        Just('-'),
        Just('@'),
        Just('\t'),
        Just('\r'),
        Just('\n'),
        Just('"'),
        Just(','),
        Just(';'),
        Just('|'),
        Just('5'),
        Just('.'),
        Just(' '),
        Just('a'),
        Just('ö'),
        Just('\u{feff}'),
        any::<char>(),
    ];
    vec(sign, 0..8).prop_map(|signs| {
        signs.into_iter().filter(|sign| !sign.is_control() || "\t\r\n".contains(*sign)).collect()
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read_as_it_was(
        rows in vec(vec(cell(), 3), 0..12),
        names in vec("[a-z=+@][A-Za-z0-9 =,;\"]{0,6}[a-z]", 3),
    ) {
        let headers: Vec<String> = names.iter().enumerate()
            .map(|(at, name)| format!("{} {at}", name.split_whitespace().collect::<Vec<_>>().join(" ")))
            .collect();
        let mut writer = CsvWriter::new(Vec::new());
        writer.row(&headers).expect("memory takes it");
        for row in &rows {
            writer.row(row).expect("memory takes it");
        }
        let written = writer.finish().expect("memory takes it");
        let options = Options { delimiter: Some(','), header_row: Some(1), ..Options::default() };
        let table = read("export.csv", &written, &options).expect("a table");
        let filled = |row: &&Vec<String>| row.iter().any(|cell| !cell.trim().is_empty());
        let wanted: Vec<_> = rows.iter().filter(filled).cloned().collect();
        prop_assert_eq!(table.headers, headers);
        prop_assert_eq!(table.rows, wanted);
    }

    #[test]
    fn any_bytes_end_in_a_table_or_a_sentence(bytes in vec(any::<u8>(), 0..300), name in "(a\\.(csv|json|xlsx))?") {
        match read(&name, &bytes, &Options::default()) {
            Ok(table) => {
                prop_assert!(table.rows.iter().all(|row| row.len() == table.headers.len()));
                prop_assert_eq!(table.rows.len(), table.numbers.len());
            }
            Err(fault) => prop_assert!(!fault.to_string().ends_with('.')),
        }
    }

    #[test]
    fn any_text_ends_in_a_table_or_a_sentence(text in "[a-c\",;|\\t\\r\\n'=\\[{}:1]{0,60}") {
        if let Ok(table) = read("", text.as_bytes(), &Options::default()) {
            prop_assert!(table.rows.iter().all(|row| row.len() == table.headers.len()));
            prop_assert!(table.numbers.is_sorted_by(|one, next| one < next));
        }
    }
}
