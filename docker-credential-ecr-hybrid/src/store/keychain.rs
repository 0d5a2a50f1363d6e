//! The Keychain of macOS: the user's default one, as generic passwords.
//!
//! The Keychain asks a person when another program, or the same one after an update without a
//! signature, wants a password. It is told not to: such an entry is refused, and the next store has
//! its turn.

use security_framework::base::Error;
use security_framework::item::{ItemClass, ItemSearchOptions};
use security_framework::os::macos::keychain::SecKeychain;
use zeroize::Zeroizing;

use super::vault::Vault;

/// What a person sees as the service in the list of the Keychain.
const SERVICE: &str = "ecr-hybrid";

/// `errSecItemNotFound`.
const NOT_FOUND: i32 = -25300;

/// Tokens in the Keychain.
#[derive(Debug)]
pub(super) struct Keychain;

impl Keychain {
    /// Does something with the Keychain while it must not open a window.
    fn quietly<T>(
        request: impl FnOnce(&SecKeychain) -> Result<T, Error>,
    ) -> Result<Option<T>, String> {
        let _quiet = SecKeychain::disable_user_interaction().map_err(reason)?;
        let keychain = SecKeychain::default().map_err(reason)?;
        match request(&keychain) {
            Ok(answer) => Ok(Some(answer)),
            Err(error) if error.code() == NOT_FOUND => Ok(None),
            Err(error) => Err(reason(error)),
        }
    }
}

fn reason(error: Error) -> String {
    match error.message() {
        Some(message) => message.trim_end_matches('.').to_owned(),
        None => format!("status {}", error.code()),
    }
}

impl Vault for Keychain {
    const NAME: &'static str = "keychain";

    // The Keychain has no limit of its own; this is far more than a token.
    const LARGEST: usize = 64 * 1024;

    fn read(&self, entry: &str) -> Result<Option<Zeroizing<Vec<u8>>>, String> {
        Self::quietly(|keychain| {
            let (password, _) = keychain.find_generic_password(SERVICE, entry)?;
            Ok(Zeroizing::new(password.to_owned()))
        })
    }

    fn write(&self, entry: &str, bytes: &[u8]) -> Result<(), String> {
        Self::quietly(|keychain| keychain.set_generic_password(SERVICE, entry, bytes)).map(|_| ())
    }

    fn delete(&self, entry: &str) -> Result<bool, String> {
        let deleted = Self::quietly(|keychain| {
            ItemSearchOptions::new()
                .keychains(std::slice::from_ref(keychain))
                .class(ItemClass::generic_password())
                .service(SERVICE)
                .account(entry)
                .delete()
        });
        deleted.map(|deleted| deleted.is_some())
    }
}
