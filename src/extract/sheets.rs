//! Workbooks and CSV as tables; `sheet` implements the formats.

use sheet::{Options, Placed, SheetError};

use super::markdown::{Block, Writer};
use super::{Found, Kind, Refused, office, text};

/// Most bytes per character.
const LETTER: usize = 4;

pub(crate) fn workbook(bytes: &[u8], found: &mut Found<'_>) -> Result<(), Refused> {
    let most = found.limits.chars.saturating_mul(LETTER);
    let expanded = found.limits.expanded_of(bytes.len());
    let sheets = match found.kind {
        Kind::Xls => sheet::old_workbook(bytes, most),
        Kind::Ods => {
            office::check_lock(bytes, found)?;
            sheet::opendocument(bytes, most, expanded)
        }
        _ => sheet::workbook(bytes, most, expanded),
    };
    let sheets = sheets.map_err(refused)?;
    found.pages = u32::try_from(sheets.len()).ok();
    office::name(bytes, found)?;
    for (number, sheet) in (1..).zip(sheets) {
        let mut writer = found.writer();
        write(&mut writer, &sheet.rows);
        let parts = [
            writer.take(),
            placed("Cells far to the right:", &sheet.far),
            placed("Comments:", &sheet.comments),
        ];
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        if !parts.is_empty() {
            let name = sheet.name.split_whitespace().collect::<Vec<_>>().join(" ");
            let mark = if sheet.is_hidden { office::HIDDEN } else { "" };
            found.push(Some(number), format!("## {name}{mark}\n\n{}", parts.join("\n\n")));
        }
        found.cut |= sheet.more || writer.is_full();
        if found.is_full() {
            break;
        }
    }
    for chart in office::workbook_charts(bytes, found)? {
        found.push(None, chart);
    }
    Ok(())
}

/// Texts as list items with their cell addresses.
fn placed(heading: &str, texts: &[Placed]) -> String {
    if texts.is_empty() {
        return String::new();
    }
    let mut out = format!("{heading}\n");
    for Placed { place, text } in texts {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        out.push_str(&format!("\n- {place}: {text}"));
    }
    out
}

/// Reads a CSV file; a broken one is read as text.
pub(crate) fn csv(bytes: &[u8], found: &mut Found<'_>) -> Result<(), Refused> {
    // No row is treated as a header: lines above a table belong to the text.
    let encoding = found.chosen.map(str::to_owned);
    let options = Options { header_row: Some(0), encoding, ..Options::default() };
    match sheet::read("a.csv", bytes, &options) {
        Ok(table) => {
            let mut writer = found.writer();
            write(&mut writer, &table.rows);
            found.push(None, writer.take());
            found.cut |= writer.is_full();
            found.encoding = table.encoding.map(str::to_owned);
            found.notes.extend(table.notes);
            Ok(())
        }
        Err(SheetError::Empty) => Ok(()),
        Err(error) => {
            found.note(format!("it was read as plain text, not as a table: {error}"));
            text::file(bytes, found)
        }
    }
}

fn write(writer: &mut Writer, rows: &[Vec<String>]) {
    writer.open_table();
    for row in rows {
        writer.open_row();
        for cell in row {
            writer.open_cell();
            writer.open(Block::Paragraph);
            writer.text(cell);
            writer.close_cell();
        }
        if writer.is_full() {
            break;
        }
    }
}

fn refused(error: SheetError) -> Refused {
    match error {
        SheetError::Locked => Refused::Encrypted,
        SheetError::Inflated { .. } => Refused::Expands,
        _ => Refused::Damaged,
    }
}
