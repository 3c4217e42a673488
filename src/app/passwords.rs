//! Hashing off the async threads, two at a time, since each hash takes 19 MiB. The hasher is made at
//! first use: a start does not pay for it.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crypto::keyring::Keyring;
use crypto::password::{PasswordError, Passwords, Verdict};

/// How many hashes are made at once.
const AT_ONCE: usize = 2;

/// Hashes and checks passwords.
pub struct Hasher {
    ring: Arc<Keyring>,
    /// Of the master key that was the current one when it was made.
    made: Mutex<Option<Arc<Passwords>>>,
    permits: Arc<Semaphore>,
}

impl Hasher {
    /// A hasher with the peppers of this ring.
    #[must_use]
    pub fn new(ring: Arc<Keyring>) -> Self {
        Self { ring, made: Mutex::new(None), permits: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    fn passwords(&self) -> Result<Arc<Passwords>, PasswordError> {
        if let Some(made) = self.made.lock().as_ref().filter(|made| made.is_of(&self.ring)) {
            return Ok(Arc::clone(made));
        }
        let made = Arc::new(Passwords::new(&self.ring)?);
        *self.made.lock() = Some(Arc::clone(&made));
        Ok(made)
    }

    /// The text to store for a password.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub async fn hash(
        self: &Arc<Self>,
        password: Zeroizing<String>,
    ) -> Result<String, PasswordError> {
        self.off_thread(move |this| this.passwords()?.hash(&password)).await
    }

    /// Checks a password against what is stored, or against nothing at the same cost.
    ///
    /// # Errors
    /// When it cannot be checked.
    pub async fn verify(
        self: &Arc<Self>,
        stored: Option<String>,
        password: Zeroizing<String>,
    ) -> Result<Verdict, PasswordError> {
        self.off_thread(move |this| {
            this.passwords()?.verify(&this.ring, stored.as_deref(), &password)
        })
        .await
    }

    async fn off_thread<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self) -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let permit = Arc::clone(&self.permits).acquire_owned().await;
        let this = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || {
            let result = work(&this);
            drop(permit);
            result
        });
        done.await.unwrap_or(Err(PasswordError::NoMemory))
    }
}
