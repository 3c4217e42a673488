//! Horizontal rules drawn on a page. Text between several of them is a table.

use super::page::Matrix;

/// Limit of rules per page.
const MOST: usize = 20_000;
/// Tolerance for horizontal lines.
const LEVEL: f64 = 1.0;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rule {
    pub from: f64,
    pub to: f64,
    pub y: f64,
}

/// Collects rules from path operators; a path counts once it is painted.
#[derive(Default)]
pub(super) struct Rules {
    painted: Vec<Rule>,
    path: Vec<Rule>,
    /// Current point.
    at: (f64, f64),
}

impl Rules {
    pub fn painted(&self) -> &[Rule] {
        &self.painted
    }

    pub fn clear(&mut self) {
        self.painted.clear();
        self.path.clear();
    }

    /// Handles a path operator; other operators are ignored.
    pub fn take(&mut self, word: &str, around: Matrix, n: impl Fn(usize) -> f64) {
        let point = |x: f64, y: f64| {
            let [a, b, c, d, e, f] = around;
            (a * x + c * y + e, b * x + d * y + f)
        };
        match word {
            "m" => self.at = point(n(0), n(1)),
            "l" => {
                let to = point(n(0), n(1));
                self.line(self.at, to);
                self.at = to;
            }
            "re" => {
                let (x, y, width, height) = (n(0), n(1), n(2), n(3));
                self.line(point(x, y), point(x + width, y));
                self.line(point(x, y + height), point(x + width, y + height));
            }
            "S" | "s" | "f" | "F" | "f*" | "B" | "B*" | "b" | "b*" => {
                self.painted.append(&mut self.path);
                self.painted.truncate(MOST);
            }
            "n" => self.path.clear(),
            _ => {}
        }
    }

    fn line(&mut self, from: (f64, f64), to: (f64, f64)) {
        let is_level = (from.1 - to.1).abs() <= LEVEL && LEVEL < (from.0 - to.0).abs();
        if is_level && self.path.len() + self.painted.len() < MOST {
            let (left, right) = (from.0.min(to.0), from.0.max(to.0));
            self.path.push(Rule { from: left, to: right, y: f64::midpoint(from.1, to.1) });
        }
    }
}
