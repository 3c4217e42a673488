//! Columns and tables.

use super::{PLAIN, read};

/// Lines of text that break in the middle of sentences.
fn prose(name: &str, lines: usize) -> Vec<String> {
    (1..=lines)
        .map(|line| match line {
            1 => format!("{name} begins with a first long line"),
            line => format!("and goes on {name} in line {line} of it"),
        })
        .collect()
}

/// Shows texts side by side at these x positions, row by row, from `top` downwards.
fn rows(columns: &[(f64, Vec<String>)], top: f64, down: f64) -> String {
    let most = columns.iter().map(|(_, lines)| lines.len()).max().unwrap_or(0);
    let mut program = String::new();
    for row in 0..most {
        for (x, lines) in columns {
            if let Some(text) = lines.get(row) {
                let y = top - down * row as f64;
                program += &format!("BT /F1 10 Tf {x} {y} Td ({text}) Tj ET\n");
            }
        }
    }
    program
}

fn at(x: f64, y: f64, text: &str) -> String {
    format!("BT /F1 10 Tf {x} {y} Td ({text}) Tj ET\n")
}

fn words(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// Text of a page with the widths of Helvetica.
fn page(program: &str) -> String {
    let font = PLAIN.replace("/Type1", "/Type1 /BaseFont /Helvetica");
    let more = format!(
        "{font}\n3 0 obj <</Type /Page /MediaBox [0 0 595 842] /Contents 4 0 R /Resources \
         <</Font <</F1 5 0 R>>>> >> endobj"
    );
    read(program, &more)
}

#[test]
fn two_columns_are_read_one_after_the_other() {
    let (left, right) = (prose("alpha", 8), prose("beta", 6));
    let title = at(120.0, 760.0, "A title that stands across both of the columns of the page");
    let foot = at(250.0, 40.0, "Page 7 of the magazine for everybody");
    // Footer and title come first, as many programs write them.
    let both = rows(&[(60.0, left.clone()), (320.0, right.clone())], 700.0, 12.0);
    let text = page(&format!("{foot}{title}{both}"));
    let wanted = [
        words(&["A title that stands across both of the columns of the page"]),
        left,
        right,
        words(&["Page 7 of the magazine for everybody"]),
    ];
    assert_eq!(text, wanted.concat().join("\n"));
}

#[test]
fn three_columns_are_read_and_headings_divide_them() {
    let columns = |name: &str| -> Vec<Vec<String>> {
        ["one", "two", "six"].map(|column| prose(&format!("{name}{column}"), 5)).to_vec()
    };
    let (upper, lower) = (columns("u"), columns("l"));
    let shown = |columns: &[Vec<String>], top| {
        let places = [40.0, 225.0, 410.0].into_iter().zip(columns.iter().cloned());
        rows(&places.collect::<Vec<_>>(), top, 12.0)
    };
    let heading = "The second part has a heading that goes across all three of the columns here";
    let program =
        format!("{}{}{}", shown(&upper, 700.0), at(60.0, 600.0, heading), shown(&lower, 580.0));
    let wanted = [upper.concat(), words(&[heading]), lower.concat()].concat();
    assert_eq!(page(&program), wanted.join("\n"));
}

#[test]
fn short_lines_on_an_evenly_divided_page_are_columns() {
    let left = words(&["LEFT one", "LEFT two", "LEFT three"]);
    let right = words(&["RIGHT one", "RIGHT two", "RIGHT three"]);
    let program = rows(&[(60.0, left.clone()), (320.0, right.clone())], 700.0, 14.0);
    assert_eq!(page(&program), [left, right].concat().join("\n"));
}

#[test]
fn tables_are_read_row_by_row() {
    let names = words(&["Name", "Ada Lovelace", "Grace Hopper", "Alan Turing"]);
    let cities = words(&["City", "London", "New York", "Manchester"]);
    let sums = words(&["Sum", "1,200.00", "31.50", "7.25"]);
    let across = |columns: &[&Vec<String>]| {
        let row = |at: usize| columns.iter().map(|column| column[at].as_str()).collect::<Vec<_>>();
        (0..names.len()).map(|at| row(at).join(" ")).collect::<Vec<_>>().join("\n")
    };
    // Cells do not start at even column positions.
    let table = rows(&[(60.0, names.clone()), (200.0, cities.clone())], 700.0, 14.0);
    assert_eq!(page(&table), across(&[&names, &cities]));
    // Cells with numbers.
    let table = rows(&[(60.0, names.clone()), (320.0, sums.clone())], 700.0, 14.0);
    assert_eq!(page(&table), across(&[&names, &sums]));
    // Rules between rows turn even columns into a table.
    let even = rows(&[(60.0, names.clone()), (320.0, cities.clone())], 700.0, 14.0);
    assert_ne!(page(&even), across(&[&names, &cities]));
    let lines = "60 697 480 0.5 re f\n60 683 m 300 683 l 540 683 l S\n60 669 m 540 669 l S\n";
    assert_eq!(page(&format!("{lines}{even}")), across(&[&names, &cities]));
    // An unpainted path is no rule.
    let clip = lines.replace("re f", "re n").replace("l S", "l n");
    assert_ne!(page(&format!("{clip}{even}")), across(&[&names, &cities]));
    // Labelled values stay with their labels.
    let labels = words(&["Tenant:", "Landlord:", "Town:", "Street:"]);
    let table = rows(&[(60.0, labels.clone()), (320.0, cities.clone())], 700.0, 14.0);
    assert_eq!(page(&table), across(&[&labels, &cities]));
}

#[test]
fn a_program_that_writes_column_by_column_keeps_its_order() {
    let (left, right) = (prose("alpha", 6), prose("beta", 6));
    let column = |x, lines: &Vec<String>| rows(&[(x, lines.clone())], 700.0, 12.0);
    let program = format!("{}{}", column(320.0, &right), column(60.0, &left));
    assert_eq!(page(&program), [right, left].concat().join("\n"));
}

#[test]
fn points_belong_to_their_column() {
    let texts = prose("alpha", 4);
    let bullets = vec!["\\225".to_owned(); 4];
    let places =
        [(60.0, bullets.clone()), (75.0, texts.clone()), (320.0, bullets), (335.0, texts.clone())];
    let points: Vec<String> = texts.iter().map(|text| format!("- {text}")).collect();
    let wanted = [points.clone(), points].concat().join("\n");
    assert_eq!(page(&rows(&places, 700.0, 12.0)), wanted);
}

#[test]
fn text_that_is_turned_or_stretched_has_whole_words_on_whole_lines() {
    // Upwards, in pieces of words.
    let turned = "BT /F1 10 Tf 0 1 -1 0 100 100 Tm [(Tur) 0 (ned) -300 (text)] TJ \
        0 1 -1 0 115 100 Tm (below) Tj ET";
    assert_eq!(page(turned), "Turned text\nbelow");
    // At half width, the words of the line are adjacent.
    let narrow =
        "BT /F1 10 Tf 50 Tz 1 0 0 1 50 700 Tm (mmmmmmmmmm) Tj 1 0 0 1 91.65 700 Tm (mm) Tj ET";
    assert_eq!(page(narrow), "mmmmmmmmmmmm");
}
