//! Actions on knowledge sources, and results of a sync.

use connect::{Catalog, Mark, Reads};
use knowledge::model::Text;
use sources::model::Source;
use sources::rules::{self, Arrived, Leaves, NewSource, Patch};
use store::WriteTx;

use super::desk::{Acted, Pick, by_rule, one};

pub fn source(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    match c % 5 {
        0 | 1 => {
            let catalog = Catalog::read(std::path::Path::new("/nowhere"));
            let manifest = catalog.get("folder").expect("one of HQ's own").clone();
            let reads = Reads::from([("path".to_owned(), format!("/srv/{}", b % 4))]);
            let name = format!("Source {}", b % 9);
            by_rule(rules::create(tx, NewSource { name, manifest, reads, patch: Patch::default() }))
        }
        2 => {
            let leaves = Leaves::ALL[usize::from(b) % Leaves::ALL.len()];
            let id = one::<Source>(tx, a)?.id;
            by_rule(rules::remove(tx, id, leaves))
        }
        _ => {
            let id = one::<Source>(tx, a)?.id;
            let patch = match b % 3 {
                0 => Patch { name: Some(format!("Other {c}")), ..Patch::default() },
                1 => Patch { paused: Some(c % 2 == 0), ..Patch::default() },
                _ => Patch { interval_hours: Some(u32::from(c) + 1), ..Patch::default() },
            };
            by_rule(rules::change(tx, id, patch))
        }
    }
}

pub fn pages(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    let id = one::<Source>(tx, a)?.id;
    let place = format!("{}.md", b % 3);
    match c % 4 {
        0 => by_rule(rules::gone(tx, id, &[place], b % 2 == 0)),
        1 => by_rule(rules::missing(tx, id, &[place])),
        _ => {
            let text = format!("Words {c}");
            let page = Arrived {
                address: format!("/srv/{place}"),
                title: format!("Title {}", b % 5),
                mark: Mark { listed: c.to_string(), ..Mark::default() },
                hash: connect::hash(text.as_bytes()),
                text: Some(Text::Inline(text)),
                file: None,
                cut: false,
                place,
            };
            by_rule(rules::apply(tx, id, vec![page]))
        }
    }
}
