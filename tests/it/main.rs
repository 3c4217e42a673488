//! The one integration test program.

mod support;

mod architecture; // the direction of the layers, and what is confined where
