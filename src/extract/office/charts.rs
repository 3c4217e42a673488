//! Text of charts: title, names of series and axes, categories.

use quick_xml::events::Event;
use sheet::package::{Fault, Package, resolve};

use super::super::Refused;

/// Limit of names per chart.
const MOST_NAMES: usize = 2_000;
/// Longest name, in bytes.
const LONGEST: usize = 1_000;

/// Role of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Title,
    Axis,
    Series,
    Category,
}

#[derive(Default)]
struct Names {
    title: Vec<String>,
    axes: Vec<String>,
    series: Vec<String>,
    categories: Vec<String>,
}

impl Names {
    fn add(&mut self, role: Role, name: &str) {
        let list = match role {
            Role::Title => &mut self.title,
            Role::Axis => &mut self.axes,
            Role::Series => &mut self.series,
            Role::Category => &mut self.categories,
        };
        let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        // Each series repeats the categories.
        if !name.is_empty() && list.len() < MOST_NAMES && !list.contains(&name) {
            list.push(name);
        }
    }

    fn into_text(self) -> String {
        let title = self.title.join(" ");
        let mut lines =
            vec![if title.is_empty() { "Chart".into() } else { format!("Chart: {title}") }];
        for (label, names) in
            [("Series", self.series), ("Categories", self.categories), ("Axes", self.axes)]
        {
            if !names.is_empty() {
                lines.push(format!("{label}: {}", names.join(", ")));
            }
        }
        if lines.len() == 1 && title.is_empty() { String::new() } else { lines.join("\n") }
    }
}

/// Text of the charts in these parts, one paragraph each; broken charts are skipped.
pub(crate) fn words(package: &mut Package<'_>, paths: &[String]) -> Result<Vec<String>, Refused> {
    let mut charts = Vec::new();
    for path in paths {
        match chart(package, path) {
            Ok(text) if !text.is_empty() => charts.push(text),
            Ok(_) | Err(Fault::Damaged { .. } | Fault::LongText { .. }) => (),
            Err(fault) => return Err(fault.into()),
        }
    }
    Ok(charts)
}

fn chart(package: &mut Package<'_>, path: &str) -> Result<String, Fault> {
    let mut names = Names::default();
    let Some(mut part) = package.part(path, "a chart")? else { return Ok(String::new()) };
    // The open role, and the element that ends it.
    let mut open: Option<(Role, String)> = None;
    let (mut axis, mut text, mut within) = (false, String::new(), false);
    loop {
        match part.next()? {
            Event::Start(element) => {
                let name = element.local_name().as_ref().to_owned();
                let role = match name.as_str() {
                    "title" if axis => Some(Role::Axis),
                    "title" => Some(Role::Title),
                    "tx" => Some(Role::Series),
                    "cat" | "xVal" => Some(Role::Category),
                    _ => None,
                };
                axis |= name.ends_with("Ax");
                within = matches!(name.as_str(), "t" | "v");
                if open.is_none() {
                    open = role.map(|role| (role, name));
                }
            }
            Event::End(element) => {
                let name = element.local_name().as_ref().to_owned();
                if let Some((role, until)) = &open {
                    // Runs of one title are joined; each value is a name.
                    let ends = match role {
                        Role::Title | Role::Axis => name == *until || name == "p",
                        Role::Series | Role::Category => name == "v" || name == "p",
                    };
                    if ends {
                        names.add(*role, &std::mem::take(&mut text));
                    }
                    if name == *until {
                        text.clear();
                        open = None;
                    }
                }
                axis &= !name.ends_with("Ax");
                within = false;
            }
            Event::Text(letters) if within && open.is_some() && text.len() < LONGEST => {
                text.push_str(&letters.xml10_content());
            }
            Event::GeneralRef(reference) if within && open.is_some() && text.len() < LONGEST => {
                resolve(&reference, &mut text);
            }
            Event::Eof => return Ok(names.into_text()),
            _ => (),
        }
    }
}
