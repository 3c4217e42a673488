//! The package with a whole HQ around it: one program, since each is linked with everything.

mod fields;
mod imports;
mod kinds;
mod lists;
mod whole;
