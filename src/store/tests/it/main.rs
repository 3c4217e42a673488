//! Tests of the store on a real file, with record types of their own.

mod audit;
mod blobs;
mod bytes;
mod check;
mod columns;
mod consumers;
mod cursors;
mod failure;
mod feed;
mod history;
mod holders;
mod kills;
mod lanes;
mod model;
mod operate;
mod power;
mod records;
mod scans;
mod simulate;
mod slices;
mod sweep;
mod toys;
mod transactions;
mod turns;
mod undo;
mod whole;
