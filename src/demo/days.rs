//! The weeks: which moments there are, and what happens at each.

use jiff::civil::Weekday;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use super::dice::Dice;
use super::founding::PAUSED_BEFORE;
use super::people::{Deed, EVENING, Errand, For};
use super::{Company, Out, Plan, SeedError};
use features::agents::rules as agents;
use features::tasks::queries::series as recurring;
use features::workspace::model::Counting;
use kernel::{Assignee, Clock as _, TaskId};

/// How many moments a shift has: a run that is begun in it has ended by then.
pub(super) const TICKS: usize = 8;
/// How many tasks are left for the very end, so that there are as many as there should be.
const LEFT: u32 = 10;
/// How long what could not be done is left alone, in milliseconds.
const AGAIN: i64 = 5 * 60 * 1_000;
/// How often what waits for agents is seen to in the evening at most.
const ROUNDS: usize = 40;

/// When agents take up what waits, on working days.
fn shifts(end: Timestamp, plan: Plan, dice: &mut Dice) -> Vec<Timestamp> {
    let zone = TimeZone::UTC;
    let last = end.to_zoned(zone.clone()).date();
    let mut all = Vec::new();
    let each = 9 * 60 / plan.shifts.max(1);
    for back in (0..=plan.weeks * 7).rev() {
        let Ok(day) = last.checked_sub(back.days()) else { continue };
        if matches!(day.weekday(), Weekday::Saturday | Weekday::Sunday) {
            continue;
        }
        let Ok(midnight) = day.to_zoned(zone.clone()) else { continue };
        for n in 0..plan.shifts {
            let minute = 8 * 60 + n * each + dice.below(each / 2);
            let minute = i64::try_from(minute).unwrap_or(0);
            let at = midnight.timestamp() + SignedDuration::from_mins(minute);
            if at < end - EVENING {
                all.push(at);
            }
        }
    }
    all
}

impl Company {
    /// Ticks of a working day.
    pub(super) fn ticks_a_day(&self) -> usize {
        self.plan.shifts * TICKS
    }

    /// Goes through all weeks.
    pub(super) async fn live_on(&mut self) -> Result<(), SeedError> {
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
            self.take_series()?;
            self.made = self.count(Counting::Tasks)?;
            self.hand_out(self.agents.len(), false).await?;
            let left = (shifts.len() - n) * TICKS;
            for tick in 0..TICKS {
                self.tick_on(left - tick, n + 2 < shifts.len()).await?;
            }
        }
        self.see_to_the_rest().await
    }

    /// One moment of a shift; `left` is how many are still to come, with this one.
    async fn tick_on(&mut self, left: usize, agents_too: bool) -> Result<(), SeedError> {
        self.pass(15, 100);
        let target = self.plan.tasks.saturating_sub(LEFT).saturating_sub(self.made);
        let left = u32::try_from(left).unwrap_or(1).max(1);
        let more = self.dice.below(left as usize) < (target % left) as usize;
        let mut quota = target / left + u32::from(more);
        let mut jobs = self.errands();
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

    /// Lets these happen and takes in what they came to.
    pub(super) async fn happen(&mut self, jobs: Vec<super::Job<For>>) -> Result<(), SeedError> {
        let day = self.ticks_a_day();
        for (what, out) in self.piece(jobs).await? {
            match (what, out) {
                (For::New(stream, whose), Some(Out::Tasks(new))) => {
                    self.expect(stream, whose, new);
                }
                (For::Errand(errand), Some(Out::Later)) => {
                    let after = self.dice.lag(day);
                    self.note(after, errand);
                }
                (For::Step(place), out) => self.stepped(place, out),
                _ => {}
            }
        }
        self.live.retain(|run| !run.is_over());
        self.end_stuck().await
    }

    /// Lets some seconds pass.
    pub(super) fn pass(&mut self, least: usize, most: usize) {
        let seconds = self.dice.within(least, most) * 1_000 + self.dice.below(1_000);
        let ms = i64::try_from(seconds).unwrap_or(0);
        let left = self.end.as_millisecond() - self.clock.now_ms();
        self.clock.advance_ms(ms.min(left.max(0)));
    }

    /// Goes on to a moment. What becomes due on the way happens when it does.
    async fn advance_to(&mut self, at: Timestamp) -> Result<(), SeedError> {
        loop {
            let next = server::catch_up(&self.ws).await?.filter(|next| *next <= at);
            let to = next.unwrap_or(at);
            let ms = to.as_millisecond() - self.clock.now_ms();
            // What could not be done yet is looked at again some minutes later.
            let least = if next.is_some() {
                AGAIN.min((at.as_millisecond() - self.clock.now_ms()).max(1))
            } else {
                0
            };
            self.clock.advance_ms(if 0 < ms { ms } else { least });
            if next.is_none() {
                return Ok(());
            }
        }
    }

    /// People will do what came from a series or a routine and is theirs.
    fn take_series(&mut self) -> Result<(), SeedError> {
        let mut theirs: Vec<(TaskId, usize)> = Vec::new();
        for id in &self.series {
            let open = self.ws.read(|snap| recurring::open_tasks(snap, *id))?;
            for task in open {
                let by = self
                    .people
                    .iter()
                    .position(|person| task.assignee == Some(Assignee::Person(person.account)));
                if let Some(by) = by.filter(|_| self.taken.insert(task.id)) {
                    theirs.push((task.id, by));
                }
            }
        }
        for (task, by) in theirs {
            let after = self.dice.lag(TICKS);
            self.note(after, Errand { task, by, deed: Deed::Begin });
            self.note(after + TICKS, Errand { task, by, deed: Deed::Finish });
        }
        Ok(())
    }

    /// Some days before the end an agent or two take no more work.
    async fn pause_some(&mut self, at: Timestamp) -> Result<(), SeedError> {
        let few = if self.agents.len() < 10 { 1 } else { 2 };
        if at < self.end - PAUSED_BEFORE || self.agents.iter().any(|agent| agent.paused) {
            return Ok(());
        }
        let count = self.agents.len();
        for agent in self.agents.iter_mut().skip(count - few) {
            agent.paused = true;
        }
        for n in count - few..count {
            let (id, who) = (self.agents[n].id, (self.people[0].by, self.request()));
            self.ws.write(&who, move |tx| agents::pause(tx, id)).await?;
        }
        Ok(())
    }

    /// The last hours: agents end what they have, and nobody gives them more.
    async fn see_to_the_rest(&mut self) -> Result<(), SeedError> {
        self.advance_to(self.end - SignedDuration::from_hours(3)).await?;
        self.drain(5, 20).await?;
        // What the clock brings meanwhile is seen to as well.
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

    /// Agents take up what waits until nothing does.
    async fn drain(&mut self, least: usize, most: usize) -> Result<(), SeedError> {
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
        let all = shifts(end, Size::Medium.plan(), &mut Dice::of(1));
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
