//! Health and doctor.
