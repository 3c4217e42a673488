//! Column totals: number of rows with a value, sum, smallest and largest.

use std::cmp::Ordering;

use entity::{Column, Decimal, FieldValue, Kind, Look, Names};

kernel::words! {
    /// What is told of the values of a column.
    Figure {
        /// How many rows there are.
        Count = "count", "Count";
        /// How many rows have a value.
        Filled = "filled", "Filled";
        /// What the values come to.
        Sum = "sum", "Sum";
        /// What each would be if all were equal.
        Average = "average", "Average";
        /// The smallest.
        Min = "min", "Min";
        /// The largest.
        Max = "max", "Max";
    }
}

impl Figure {
    /// Returns `true` if the figure is defined for values of this kind.
    #[must_use]
    pub fn fits(self, kind: Kind) -> bool {
        match self {
            Self::Count | Self::Filled => true,
            Self::Sum | Self::Average => kind.is_number(),
            Self::Min | Self::Max => {
                kind.is_number() || matches!(kind, Kind::Date | Kind::Datetime)
            }
        }
    }

    /// Default figure of a column: the sum of numbers, the average of percentages.
    #[must_use]
    pub fn usual(column: &Column) -> Option<Self> {
        match column.look {
            Look::Percent | Look::Bar => Some(Self::Average),
            _ => column.kind.is_number().then_some(Self::Sum),
        }
    }
}

/// Word for a column without a figure.
const NOTHING: &str = "none";

/// The figures below the columns of a list, as encoded in URLs: `price:average,email:filled`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Foot(Vec<(String, Option<Figure>)>);

impl Foot {
    /// Parses a URL parameter. Unknown words are ignored.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let read = |pair: &str| {
            let (key, word) = pair.trim().rsplit_once(':')?;
            match word {
                NOTHING => Some((key.to_owned(), None)),
                word => Some((key.to_owned(), Some(word.parse().ok()?))),
            }
        };
        Self(text.split(',').filter_map(read).collect())
    }

    /// Error message for an invalid URL parameter.
    #[must_use]
    pub fn fault(text: &str, columns: &[Column]) -> Option<String> {
        let all: Vec<&str> = text.split(',').map(str::trim).filter(|one| !one.is_empty()).collect();
        let read = Self::of(text);
        if read.0.len() < all.len() {
            return Some("Enter column summaries as price:average,email:filled.".to_owned());
        }
        read.0.iter().find_map(|(key, figure)| {
            let Some(column) = columns.iter().find(|column| column.key == *key) else {
                return Some(format!("There's no field \"{key}\"."));
            };
            let fits = figure.is_none_or(|figure| figure.fits(column.kind));
            (!fits).then(|| format!("{} isn't a number.", column.label))
        })
    }

    /// The figure below a column.
    #[must_use]
    pub fn below(&self, column: &Column) -> Option<Figure> {
        let chosen = self.0.iter().find(|(key, _)| *key == column.key);
        let chosen = chosen.map_or_else(|| Figure::usual(column), |(_, figure)| *figure);
        chosen.filter(|figure| figure.fits(column.kind))
    }

    /// The URL parameter with another figure for one column.
    #[must_use]
    pub fn with(&self, column: &Column, figure: Option<Figure>) -> String {
        let others = self.0.iter().filter(|(key, _)| *key != column.key).cloned();
        let mut all: Vec<(String, Option<Figure>)> = others.collect();
        if figure != Figure::usual(column) {
            all.push((column.key.clone(), figure));
        }
        let word = |(key, figure): &(String, Option<Figure>)| {
            format!("{key}:{}", figure.map_or(NOTHING, Figure::word))
        };
        all.iter().map(word).collect::<Vec<_>>().join(",")
    }
}

/// Running totals of a column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    count: usize,
    filled: usize,
    sum: Decimal,
    least: Option<FieldValue>,
    most: Option<FieldValue>,
}

impl Tally {
    /// Counts `rows` rows without a value.
    pub fn empty(&mut self, rows: usize) {
        self.count += rows;
    }

    /// Counts a row with a value that is not aggregated.
    pub fn filled(&mut self) {
        self.count += 1;
        self.filled += 1;
    }

    /// Counts a row with a number.
    pub fn number(&mut self, number: Decimal) {
        self.filled();
        self.sum = self.sum.plus(number);
        match &mut self.least {
            Some(FieldValue::Number(least)) => *least = number.min(*least),
            least => {
                least.get_or_insert(FieldValue::Number(number));
            }
        }
        match &mut self.most {
            Some(FieldValue::Number(most)) => *most = number.max(*most),
            most => {
                most.get_or_insert(FieldValue::Number(number));
            }
        }
    }

    /// Counts a row.
    pub fn add(&mut self, value: Option<&FieldValue>) {
        match value {
            None => self.empty(1),
            Some(FieldValue::Number(number)) => self.number(*number),
            Some(value @ (FieldValue::Day(_) | FieldValue::At(_))) => {
                self.filled();
                let beats = |held: &Option<FieldValue>, order: Ordering| {
                    held.as_ref().is_none_or(|held| value.order(held) == order)
                };
                if beats(&self.least, Ordering::Less) {
                    self.least = Some(value.clone());
                }
                if beats(&self.most, Ordering::Greater) {
                    self.most = Some(value.clone());
                }
            }
            Some(_) => self.filled(),
        }
    }

    /// Sum of the numbers.
    #[must_use]
    pub fn sum(&self) -> Decimal {
        self.sum
    }

    /// Formats a figure; empty if there is no data.
    #[must_use]
    pub fn format_figure(&self, figure: Figure, column: &Column, names: &dyn Names) -> String {
        let shown = |value: &Option<FieldValue>| {
            value.as_ref().map_or_else(String::new, |value| column.shown(value, names))
        };
        match figure {
            Figure::Count => self.count.to_string(),
            Figure::Filled => self.filled.to_string(),
            Figure::Sum if self.filled == 0 => String::new(),
            Figure::Sum => column.look.shown(self.sum),
            Figure::Average => match i64::try_from(self.filled) {
                // Averages are shown with two decimal places.
                Ok(filled) if 0 < filled => {
                    let each = self.sum.millionths() / filled / 10_000 * 10_000;
                    column.look.shown(Decimal::of_millionths(each))
                }
                _ => String::new(),
            },
            Figure::Min => shown(&self.least),
            Figure::Max => shown(&self.most),
        }
    }
}

#[cfg(test)]
mod tests {
    use entity::{Column, Decimal, FieldValue, Kind};

    use super::{Figure, Foot, Tally};

    #[test]
    fn numbers_are_counted_as_all_values_are() {
        let (mut one, mut other) = (Tally::default(), Tally::default());
        for millionths in [3_000_000, -1_500_000, 7_000_000, 0] {
            let number = Decimal::of_millionths(millionths);
            one.number(number);
            other.add(Some(&FieldValue::Number(number)));
        }
        one.empty(2);
        other.add(None);
        other.add(None);
        one.filled();
        other.add(Some(&FieldValue::Text("seven".to_owned())));
        assert_eq!(one, other);
        let number = |millionths| Some(FieldValue::Number(Decimal::of_millionths(millionths)));
        assert_eq!((one.count, one.filled), (7, 5));
        assert_eq!(one.sum(), Decimal::of_millionths(8_500_000));
        assert_eq!((one.least, one.most), (number(-1_500_000), number(7_000_000)));
    }

    #[test]
    fn a_foot_says_what_differs_from_the_usual() {
        let price = Column::new("price", "Price", Kind::Number);
        let mail = Column::new("email", "Email", Kind::Email);
        let foot = Foot::of("");
        assert_eq!((foot.below(&price), foot.below(&mail)), (Some(Figure::Sum), None));
        let words = Foot::of(&foot.with(&mail, Some(Figure::Filled))).with(&price, None);
        assert_eq!(words, "email:filled,price:none");
        let foot = Foot::of(&words);
        assert_eq!((foot.below(&price), foot.below(&mail)), (None, Some(Figure::Filled)));
        assert_eq!(foot.with(&price, Some(Figure::Sum)), "email:filled");
        let columns = [price, mail];
        assert!(Foot::fault("email:sum", &columns).is_some(), "an address has no sum");
        assert!(Foot::fault("email", &columns).is_some());
        assert_eq!(Foot::fault("price:max, email:filled", &columns), None);
    }
}
