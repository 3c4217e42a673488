//! The part of the Telegram Bot API that HQ uses.
