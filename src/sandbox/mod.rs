//! Processes of tools: the jail helper, the spawning thread, stop, posture.
