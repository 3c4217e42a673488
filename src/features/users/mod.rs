//! People: accounts, passwords, sign-ins, API tokens, first boot (`system.redb`).
