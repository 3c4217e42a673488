//! Groups of rows with a common value: row count, column totals, the first rows.

use std::collections::HashMap;

use entity::FieldValue;

use crate::figures::Tally;

/// Rows with a common value.
#[derive(Debug)]
pub struct Group<I> {
    /// The value; `None` for rows without one.
    pub value: Option<FieldValue>,
    /// Number of rows.
    pub count: usize,
    /// One tally per aggregated column.
    pub tallies: Vec<Tally>,
    /// The first rows in list order.
    pub first: Vec<I>,
}

/// Up to this number of groups, linear search is faster than building lookup keys.
const FEW: usize = 24;

/// Assigns rows to groups in a single pass.
pub struct Grouper<I> {
    most: usize,
    columns: usize,
    groups: Vec<Group<I>>,
    places: HashMap<String, usize>,
}

impl<I: Copy> Grouper<I> {
    /// No groups yet. Each group gets `columns` tallies and stores at most `most` rows.
    #[must_use]
    pub fn new(columns: usize, most: usize) -> Self {
        Self { most, columns, groups: Vec::new(), places: HashMap::new() }
    }

    /// Index of the group of a value, created if necessary. `key` must be unique per value.
    pub fn place(&mut self, value: Option<&FieldValue>, key: impl FnOnce() -> String) -> usize {
        let is_it = |group: &Group<I>| group.value.as_ref() == value;
        let at = match self.groups.len() <= FEW {
            true => self.groups.iter().position(is_it).ok_or_else(key),
            false => {
                let key = key();
                self.places.get(&key).copied().ok_or(key)
            }
        };
        at.unwrap_or_else(|key| {
            self.places.insert(key, self.groups.len());
            let tallies = vec![Tally::default(); self.columns];
            let value = value.cloned();
            self.groups.push(Group { value, count: 0, tallies, first: Vec::new() });
            self.groups.len() - 1
        })
    }

    /// Adds a row to a group and returns the group's tallies.
    pub fn put(&mut self, at: usize, id: I) -> &mut [Tally] {
        let group = &mut self.groups[at];
        group.count += 1;
        if group.first.len() < self.most {
            group.first.push(id);
        }
        &mut group.tallies
    }

    /// The groups in order of first occurrence.
    #[must_use]
    pub fn groups(self) -> Vec<Group<I>> {
        self.groups
    }
}

#[cfg(test)]
mod tests {
    use entity::{Decimal, FieldValue};

    use super::Grouper;

    #[test]
    fn many_groups_are_told_apart_as_few_are() {
        let mut groups = Grouper::new(0, 1);
        for n in 0..1_000 {
            let value = FieldValue::Choice((n % 100).to_string());
            let at = groups.place(Some(&value), || (n % 100).to_string());
            groups.put(at, n);
        }
        let groups = groups.groups();
        assert_eq!(groups.len(), 100);
        assert!(groups.iter().all(|group| group.count == 10));
    }

    #[test]
    fn each_group_is_counted_and_keeps_its_first_rows() {
        let mut groups = Grouper::new(1, 2);
        for (n, place) in [(1, "a"), (2, "b"), (3, "a"), (4, "a"), (5, "")] {
            let value = (!place.is_empty()).then(|| FieldValue::Choice(place.to_owned()));
            let number = FieldValue::Number(Decimal::of_millionths(n * 1_000_000));
            let at = groups.place(value.as_ref(), || place.to_owned());
            for tally in groups.put(at, n) {
                tally.add(Some(&number));
            }
        }
        let groups = groups.groups();
        let group =
            |n: usize| (groups[n].count, groups[n].first.clone(), groups[n].tallies[0].sum());
        assert_eq!(group(0), (3, vec![1, 3], Decimal::of_millionths(8_000_000)));
        assert_eq!(group(1).0, 1);
        assert_eq!(groups[2].value, None);
    }
}
