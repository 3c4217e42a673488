//! One folder for each noun; see STYLE for the inner shape.
