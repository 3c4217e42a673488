//! Guided set-up from the account to the first agent, without a provider.

use std::pin::Pin;
use std::time::{Duration, Instant};

use crate::load::Times;
use crate::rows::{figure, folder, unlimited};
use crate::{Figure, ms};
use support::browse::Browser;
use support::program::Program;

/// Repetitions, each in a new folder.
const TIMES: usize = 5;

/// Duration of all requests of the set-up. The first step hashes a password, which is slow intentionally and measured
/// separately.
async fn taken() -> Result<(Duration, Duration), String> {
    let folder = folder()?;
    let mut program = Program::start_with(&mut unlimited(folder.path()));
    let browser = Browser::new(program.url());
    let link = program.setup_link();
    let began = Instant::now();
    let mut page = browser.set_up(&link).await;
    let account = began.elapsed();
    let mut steps = Duration::ZERO;
    for button in ["Continue", "Continue", "Skip for now", "Create"] {
        let form = page.form(button);
        let form = match page.url.path().ends_with("/work") {
            true => form.fill("Managing clients", "run"),
            false => form,
        };
        let began = Instant::now();
        page = browser.submit(form).await;
        steps += began.elapsed();
        if !page.status.is_success() {
            return Err(format!("{button} is answered with {}", page.status));
        }
    }
    match page.url.path().ends_with("/tasks/new") {
        true => Ok((account, steps)),
        false => Err(format!("the set-up ends at {}", page.url)),
    }
}

pub fn steps(_: Times) -> Pin<Box<dyn Future<Output = Result<Figure, String>>>> {
    Box::pin(async {
        let mut all = Vec::new();
        for _ in 0..TIMES {
            all.push(taken().await?);
        }
        all.sort_unstable_by_key(|(account, steps)| *account + *steps);
        let (account, steps) = all[TIMES / 2];
        let sum = account + steps;
        let text = format!("{} (account {}, four steps {})", ms(sum), ms(account), ms(steps));
        Ok(figure(text, sum <= Duration::from_millis(300)))
    })
}
