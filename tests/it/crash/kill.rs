//! Moments of kills: random, right after a response that the client then never gets, and again during the start.

use std::process::Stdio;
use std::time::Duration;

use support::program::{Program, command};

use super::api::{Api, Trap};
use super::desk::Writer;
use super::dice::{self, Dice};

/// A kill determined by a seed.
pub struct Kill {
    moment: Duration,
    behind: Option<i64>,
    /// Durations of the following starts, which are killed, too.
    starts: Vec<Duration>,
}

/// Number of kills of each kind.
#[derive(Default)]
pub struct Kills {
    pub moments: usize,
    pub answers: usize,
    pub starts: usize,
}

impl Kill {
    pub fn choose(dice: &mut Dice) -> Self {
        // Most kills come early, to interrupt work; some leave time for long operations.
        let within = if dice.below(4) == 0 { 400_000 } else { 100_000 };
        let moment = Duration::from_micros(dice.below(within));
        let answers = i64::try_from(dice.below(60)).expect("few") + 1;
        let behind = (dice.below(3) == 0).then_some(answers);
        let starts = u64::from(dice.below(4) == 0);
        let lasts = |_| Duration::from_micros(dice.below(250_000));
        Self { moment, behind, starts: (0..starts).map(lasts).collect() }
    }

    pub fn trap(&self) -> Trap {
        self.behind.map_or_else(Trap::none, Trap::behind)
    }

    /// Lets all desks write until the program is dead.
    pub async fn carry_out(
        &self,
        program: Program,
        api: &Api<'_>,
        writers: &mut [Writer],
        kills: &mut Kills,
    ) {
        // Not a wait for a condition: the seed chooses the time of the kill.
        let killer = async {
            match self.behind {
                None => tokio::time::sleep(self.moment).await,
                // There may be few responses if everything waits for something slow.
                Some(_) => tokio::select! {
                    () = api.trap.sprung() => {}
                    () = tokio::time::sleep(Duration::from_secs(2)) => {}
                },
            }
            program.kill();
        };
        let writing = writers.iter_mut().map(|writer| writer.write(api));
        tokio::join!(killer, futures_util::future::join_all(writing));
        match self.behind {
            None => kills.moments += 1,
            Some(_) => kills.answers += 1,
        }
        for lasts in &self.starts {
            let mut child = command(dice::program(), api.data, &["serve"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("the program starts");
            tokio::time::sleep(*lasts).await;
            child.kill().expect("a process of ours can be killed");
            child.wait().expect("a killed process ends");
            kills.starts += 1;
        }
    }
}
