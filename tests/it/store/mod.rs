//! The store: what stands on a real file, with records that exist for these tests alone.

pub mod toys; // the records, and how a store of them is opened
pub mod check; // everything that can be said about a store's bytes without knowing how they came

mod records; // one record at a time: keys, indexes, references, counts, limits
mod model; // random transactions against a plain model
mod columns; // what is kept in memory of lists, while others write
mod kept; // numbers that are counted again only when they may be others
mod scans; // ranges, directions, pages, with and without a write set over them
mod transactions; // attempts, reactions, panics, once, time, numbers
mod feed; // entries, their chain, cursors, resuming
mod history; // what became of one record
mod undo; // what goes back, what stays, and that nothing breaks
mod slices; // a whole store back to a moment, slice by slice
mod lanes; // the queue, group commit, snapshots, closing
mod audit; // verification, redaction, retention, searching
mod holders; // who holds which blob, against the table of it and the files
mod operate; // consumers under a hand, rebuilds, doctor, sizes, compaction
mod whole; // what needs the whole file, beside a backup and under load
mod consumers; // durable readers of the feed
mod turns; // a slow consumer, and everybody else
mod cursors; // places in the feed, and that retention breaks none
mod blobs; // files beside the database
mod sweep; // which of them go, and that none goes that is held
mod failure; // what happens when the disk fails
mod bytes; // golden bytes: what must never change by accident
mod golden; // the layouts of the program's own records
mod formats; // what each format of the file has: a difference is a new number
mod kills; // a process with a store, killed again and again
mod power; // what a power cut can leave
mod simulate; // a whole life on a disk that does everything wrong, over many seeds
