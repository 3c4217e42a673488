//! The agent engine: dispatcher, loop, journal, prompt, meter.
