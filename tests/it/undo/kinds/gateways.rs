//! Actions on gateways: settings, joins, revocations.

use crypto::token::{Token, TokenKind};
use gateways::model::{Facts, Gateway, local};
use gateways::rules::{self, NewToken, Patch};
use store::WriteTx;

use super::desk::{Acted, Pick, by_rule, one};

pub fn gateway(tx: &mut WriteTx<'_>, [a, b, c]: Pick) -> Acted {
    match c % 6 {
        0 | 1 => {
            let token = Token::issue(TokenKind::Gateway);
            let new = NewToken {
                public: token.id().to_owned(),
                hash: token.hash(),
                label: format!("Host {}", b % 4),
                labels: Vec::new(),
                minutes: None,
            };
            by_rule(
                rules::mint(tx, new)
                    .and_then(|_| rules::judge_join(tx, &token, [b; 32], &Facts::default())),
            )
        }
        2 => {
            let id = one::<Gateway>(tx, a)?.id;
            by_rule(if b % 2 == 0 { rules::pause(tx, id) } else { rules::resume(tx, id) })
        }
        3 => {
            let id = one::<Gateway>(tx, a)?.id;
            by_rule(if b % 3 == 0 { rules::revoke(tx, id) } else { rules::remove(tx, id) })
        }
        _ => {
            let id = if b % 2 == 0 { local() } else { one::<Gateway>(tx, a)?.id };
            let patch = match b % 3 {
                0 => Patch { label: Some(format!("Other {c}")), ..Patch::default() },
                1 => Patch { labels: Some(vec![format!("l{c}")]), ..Patch::default() },
                _ => Patch { address: Some(format!("https://h{c}.example")), ..Patch::default() },
            };
            by_rule(rules::change(tx, id, patch))
        }
    }
}
