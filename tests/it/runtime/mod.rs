//! Agents at work, with a scripted model.

mod again; // a run that begins again at a step of another
mod compact; // summaries in place of what does not fit any more
mod attached; // files that come with a message
mod spawning; // what sub-agents begin with, who does it, what the workspace allows
mod ask; // waiting for a person, a moment, a task
mod before; // what a run knew before it stood still
mod bounds; // limits of a run that people choose
mod budgets; // what tasks, days and tokens may cost: who waits, and until when
mod crash; // kill -9 in the middle of runs
mod failover; // another key, another model, a wait that ends by itself
mod desk; // what agents do with tasks beside the core set
mod cut; // answers that break off, limits without a last word, ids given twice
mod faults; // providers that fail
mod files; // reading and changing files, and what a crash leaves of a change
mod groups; // budgets of streams and of routines
mod halt; // everything stands still and goes on
mod jobs; // programs that go on beside their agents
mod killed; // kill -9 in the middle of memory, pages, waits and programs that read
mod memory; // notes, what was said before, old results
mod money; // budgets
mod onward; // runs that broke off go on where they stopped
mod private; // what one person's conversation leaves behind is nothing for others
mod prompt; // what is sent: how much, how stable, and what never
mod queue; // messages while a run works: steer, afterwards, collect, interrupt
mod record; // what stands of a run when it is over
mod schedules; // the same in random order, without a model
mod starts; // a program that is ended again and again
mod stop; // within a second, whatever the run does
mod subagents; // parts of the work as runs of their own
mod talk; // chat: commits, answers, steering, queue
mod tools; // calls: kinds, errors, outputs, loops
mod waits; // tasks that wait for others
mod work; // items: the whole loop, ends, retries, reviews
