//! Model providers behind one trait; wire formats end here.
