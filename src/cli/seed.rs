//! `hq demo --seed`: a believable company in an empty data folder.

use std::time::Instant;

use clap::ValueEnum;
use serde_json::json;

use demo::{CompanyOptions, DemoError, EMAIL, Made, PASSWORD, Size};
use kernel::Clock as _;
use kernel::time::SystemClock;

use super::{Common, FAILED, OK, USAGE, complain, say};

/// How large the company is.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum SeedSize {
    /// 6 agents and 200 tasks, for a quick look
    Small,
    /// 20 agents and 10,000 tasks
    Medium,
    /// 20 agents and 100,000 tasks
    Large,
}

impl From<SeedSize> for Size {
    fn from(size: SeedSize) -> Self {
        match size {
            SeedSize::Small => Self::Small,
            SeedSize::Medium => Self::Medium,
            SeedSize::Large => Self::Large,
        }
    }
}

/// Makes the company; gives the exit code.
pub fn run(common: &Common, size: SeedSize, number: u64) -> u8 {
    let config = match common.config([]) {
        Ok(config) => config,
        Err(error) => {
            complain(&error.to_string());
            return USAGE;
        }
    };
    let (folder, began) = (config.data.display().to_string(), Instant::now());
    let wish = CompanyOptions { size: size.into(), number, now: SystemClock.now() };
    let made = match super::serve::runtime() {
        Ok(runtime) => runtime.block_on(demo::make(config, wish)),
        Err(error) => Err(DemoError::Refused(error.to_string())),
    };
    match made {
        Ok(made) => {
            let seconds = began.elapsed().as_secs_f64();
            say(&if common.json {
                as_json(&made, &folder)
            } else {
                lines(&made, &folder, seconds)
            });
            OK
        }
        Err(error) => {
            complain(&error.to_string());
            if matches!(error, DemoError::NotEmpty(_)) { USAGE } else { FAILED }
        }
    }
}

fn as_json(made: &Made, folder: &str) -> String {
    json!({ "folder": folder, "email": EMAIL, "password": PASSWORD, "made": made }).to_string()
}

fn lines(made: &Made, folder: &str, seconds: f64) -> String {
    format!(
        "Tidewater Bikes: {} people, {} agents, {} tasks, {} runs, {} contacts, in {seconds:.1} s.\n\
         Look around with: hq serve --data {folder}\n\
         Sign in as {EMAIL} with the password: {PASSWORD}\n\
         Everything in it is made up; no model was asked.",
        made.people, made.agents, made.tasks, made.runs, made.contacts
    )
}
