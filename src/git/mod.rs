//! Agent files as commits in one bare repository, through gix. Blocking: call from `spawn_blocking`.
