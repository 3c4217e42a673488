//! Agents at work, with a scripted model.

mod crash; // kill -9 in the middle of runs
mod faults; // providers that fail
mod hostile; // calls that want out
mod money; // budgets
mod prompt; // what is sent: how much, how stable, and what never
mod stop; // within a second, whatever the run does
mod talk; // chat: commits, answers, steering, queue
mod tools; // calls: kinds, errors, outputs, loops
mod work; // items: the whole loop, ends, retries, reviews
