//! Agents at work, with a scripted model.

mod again; // a run that branches off at a step of another
mod compact; // compaction: summaries of earlier messages
mod attached; // files attached to messages
mod spawning; // sub-agents: context, agent, workspace limits
mod ask; // waiting for a person, a time, a task
mod before; // context from before a pause
mod bounds; // configurable limits of a run
mod budgets; // budgets of tasks, days and tokens: which runs wait, and until when
pub(crate) mod crash; // kill -9 during runs
mod failover; // another key, another model, a wait that ends by itself
mod desk; // task tools beyond the core set
mod cut; // truncated answers, limits without a last answer, duplicate ids
mod faults; // failing providers
mod files; // reading and changing files, and changes interrupted by a crash
mod groups; // budgets of streams and of routines
mod halt; // the halt switch and resuming
mod jobs; // background programs
mod killed; // kill -9 during memory, page, wait and read-only program calls
mod memory; // notes, search of conversations, old results
mod money; // budgets
mod onward; // continuing runs that broke off
mod private; // privacy of one person's conversations
mod prompt; // prompts: size, stability, and what they never contain
mod queue; // messages during a run: steer, afterwards, collect, interrupt
mod record; // the record of an ended run
mod schedules; // the same in random order, without a model
mod senders; // rights of runs of messages from messengers
mod starts; // repeated crashes of the program
mod stop; // stopping within a second, whatever the run does
mod subagents; // parts of the work as runs of their own
mod talk; // chat: commits, answers, steering, queue
mod tools; // calls: kinds, errors, outputs, loops
mod waits; // tasks that wait for others
mod work; // items: the whole loop, outcomes, retries, reviews
