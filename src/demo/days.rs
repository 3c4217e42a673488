//! The simulated weeks: ticks, and what happens at each of them.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use super::dice::Dice;
use super::people::{EVENING, For};
use super::{Company, DemoError, Job, Out, Plan};
use features::agents::rules as agents;
use features::workspace::model::Counting;
use kernel::Clock as _;

/// Ticks per shift: a run that starts in a shift ends within it.
const TICKS: usize = 8;
/// Tasks created at the very end, to reach the exact number.
const LEFT: u32 = 10;
/// Delay before a retry, in milliseconds.
const AGAIN: i64 = 5 * 60 * 1_000;
/// Limit of rounds in which agents look for work in the evening.
const ROUNDS: usize = 40;
/// Agents are paused this long before the end.
const PAUSED_BEFORE: SignedDuration = SignedDuration::from_hours(60);

/// Times on working days at which agents start waiting work.
fn shifts(end: Timestamp, plan: Plan, dice: &mut Dice) -> Vec<Timestamp> {
    let last = end.to_zoned(TimeZone::UTC).date();
    let mut all = Vec::new();
    let each = 9 * 60 / plan.shifts.max(1);
    for back in (0..=plan.weeks * 7).rev() {
        let Ok(day) = last.checked_sub(back.days()) else { continue };
        if matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) {
            continue;
        }
        let Ok(midnight) = day.to_zoned(TimeZone::UTC) else { continue };
        for n in 0..plan.shifts {
            let minute = 8 * 60 + n * each + dice.below(each / 2);
            let minute = i64::try_from(minute).unwrap_or(0);
            all.push(midnight.timestamp() + SignedDuration::from_mins(minute));
        }
    }
    all.retain(|at| *at < end - EVENING);
    all
}

impl Company {
    /// Ticks per working day.
    pub(super) fn ticks_a_day(&self) -> usize {
        self.plan.shifts * TICKS
    }

    /// Simulates all weeks.
    pub(super) async fn live_on(&mut self) -> Result<(), DemoError> {
        let shifts = shifts(self.end, self.plan, &mut self.dice);
        let fortnight = 10 * self.plan.shifts;
        let mut day = None;
        for (n, at) in shifts.iter().enumerate() {
            self.advance_to(*at).await?;
            let today = at.to_zoned(TimeZone::UTC).date();
            let is_last = self.end.duration_since(*at) < SignedDuration::from_hours(24);
            if day.replace(today) != Some(today) && !is_last {
                self.read_mail().await?;
            }
            if n % fortnight == fortnight / 2 {
                self.use_template().await?;
            }
            self.pause_some(*at).await?;
            self.made = self.count(Counting::Tasks)?;
            self.hand_out(self.agents.len(), false).await?;
            for left in (1..=TICKS).rev() {
                let left = (shifts.len() - n - 1) * TICKS + left;
                self.tick_on(left, n + 2 < shifts.len()).await?;
            }
        }
        self.end_day().await
    }

    /// One tick; `left` is the number of remaining ticks, including this one.
    async fn tick_on(&mut self, left: usize, agents_too: bool) -> Result<(), DemoError> {
        self.pass(15, 100);
        let target = self.plan.tasks.saturating_sub(LEFT).saturating_sub(self.made);
        let more = self.dice.below(left) < target as usize % left;
        let mut quota = u32::try_from(target as usize / left + usize::from(more)).unwrap_or(0);
        let mut jobs = self.deeds();
        while 0 < quota {
            let (job, count) = self.new_work(quota.max(6), agents_too);
            jobs.push(job);
            quota = quota.saturating_sub(count);
        }
        jobs.extend(self.steps());
        self.happen(jobs).await?;
        self.tick += 1;
        Ok(())
    }

    /// Runs jobs and handles their results.
    pub(super) async fn happen(&mut self, jobs: Vec<Job<For>>) -> Result<(), DemoError> {
        let day = self.ticks_a_day();
        for (what, out) in self.all(jobs).await? {
            match (what, out) {
                (For::New(stream, whose), Some(Out::Tasks(new))) => {
                    self.expect(stream, whose, new);
                }
                (For::Deed(by, deed), Some(Out::Later)) => {
                    let after = self.dice.lag(day);
                    self.later(after, by, deed);
                }
                (For::Step(place), out) => self.stepped(place, out),
                _ => {}
            }
        }
        self.end_runs().await
    }

    /// Advances the clock by some seconds.
    pub(super) fn pass(&mut self, least: usize, most: usize) {
        let seconds = self.dice.within(least, most) * 1_000 + self.dice.below(1_000);
        let ms = i64::try_from(seconds).unwrap_or(0);
        let left = self.end.as_millisecond() - self.clock.now_ms();
        self.clock.advance_ms(ms.min(left.max(0)));
    }

    /// Advances the clock to a time; timers in between run when due.
    async fn advance_to(&mut self, at: Timestamp) -> Result<(), DemoError> {
        loop {
            let next = server::catch_up(&self.ws).await?.filter(|next| *next <= at);
            let until = |at: Timestamp| at.as_millisecond() - self.clock.now_ms();
            let ms = match next.map(until) {
                // Unfinished work is retried some minutes later.
                Some(..=0) => AGAIN.min(until(at).max(1)),
                Some(ms) => ms,
                None => until(at).max(0),
            };
            self.clock.advance_ms(ms);
            if next.is_none() {
                return Ok(());
            }
        }
    }

    /// Some days before the end, an agent or two are paused.
    async fn pause_some(&mut self, at: Timestamp) -> Result<(), DemoError> {
        if at < self.end - PAUSED_BEFORE || self.agents.iter().any(|agent| agent.paused) {
            return Ok(());
        }
        let (count, few) = (self.agents.len(), self.few());
        for n in count - few..count {
            let id = self.agents[n].id;
            self.agents[n].paused = true;
            self.act(0, move |tx| agents::pause(tx, id)).await?;
        }
        Ok(())
    }

    /// One or two agents.
    pub(super) fn few(&self) -> usize {
        if self.agents.len() < 10 { 1 } else { 2 }
    }

    /// The last hours: agents finish their work and get no new work.
    async fn end_day(&mut self) -> Result<(), DemoError> {
        self.advance_to(self.end - SignedDuration::from_hours(3)).await?;
        self.drain(5, 20).await?;
        // Work that becomes due meanwhile is done as well.
        self.advance_to(self.end - SignedDuration::from_mins(20)).await?;
        self.drain(1, 6).await?;
        self.let_ask().await?;
        self.made = self.count(Counting::Tasks)?;
        for _ in self.made..self.plan.tasks {
            let (job, _) = self.new_work(0, false);
            self.happen(vec![job]).await?;
        }
        self.advance_to(self.end).await
    }

    /// Agents work until nothing is waiting.
    async fn drain(&mut self, least: usize, most: usize) -> Result<(), DemoError> {
        for _ in 0..ROUNDS {
            let begun = self.hand_out(self.agents.len(), false).await?;
            if begun == 0 && self.live.is_empty() {
                break;
            }
            for _ in 0..TICKS {
                self.pass(least, most);
                let jobs = self.steps();
                self.happen(jobs).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Dice, Timestamp, shifts};
    use crate::Size;

    #[test]
    fn work_is_done_on_working_days_and_not_at_the_end() {
        let end: Timestamp = "2026-11-20T12:00:00Z".parse().expect("a moment");
        let all = shifts(end, Size::Medium.plan(), &mut Dice(1));
        assert!(all.is_sorted());
        assert!((150..=165).contains(&all.len()), "{}", all.len());
        for at in all {
            let at = at.to_zoned(jiff::tz::TimeZone::UTC);
            assert!(
                (8..=17).contains(&at.hour()) && at.weekday().to_monday_one_offset() < 6,
                "{at}"
            );
            assert!(at.timestamp() < end);
        }
    }
}
