//! How a person wants pages to look, in all browsers.

use kernel::display::Forms;
use kernel::{
    AccountId, DateForm, Density, FirstDay, NumberForm, ThemeChoice, TimeForm, TypedId as _,
};
use serde::{Deserialize, Serialize};
use store::{Class, OnDelete, Record, Refs, Table};

use super::Account;

/// Appearance by account.
pub const APPEARANCES: Table = Table::new(139, "appearances");

/// The appearance that a person has chosen. Without a row, everything is as usual.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Appearance {
    pub account: AccountId,
    pub theme: ThemeChoice,
    pub density: Density,
    pub first_day: FirstDay,
    pub date: DateForm,
    pub time: TimeForm,
    pub number: NumberForm,
}

impl Appearance {
    /// The appearance without a choice.
    #[must_use]
    pub fn usual(account: AccountId) -> Self {
        Self {
            account,
            theme: ThemeChoice::default(),
            density: Density::default(),
            first_day: FirstDay::default(),
            date: DateForm::default(),
            time: TimeForm::default(),
            number: NumberForm::default(),
        }
    }

    /// Forms of dates, times and numbers.
    #[must_use]
    pub fn forms(&self) -> Forms {
        Forms { date: self.date, time: self.time, number: self.number }
    }
}

impl Record for Appearance {
    type Id = AccountId;
    const TABLE: Table = APPEARANCES;
    const CLASS: Class = Class::Local;
    fn id(&self) -> AccountId {
        self.account
    }
    fn refs(&self, refs: &mut Refs) {
        refs.to::<Account>(1, Some(self.account), OnDelete::Cascade);
    }
    fn sample() -> Self {
        Self {
            account: AccountId::from_bytes([1; 16]),
            theme: ThemeChoice::Dark,
            density: Density::Compact,
            first_day: FirstDay::Sunday,
            date: DateForm::DayFirst,
            time: TimeForm::Halves,
            number: NumberForm::Space,
        }
    }
}
