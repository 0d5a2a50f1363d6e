//! What a person can ask of the sandbox, one verb per file.

mod api;
mod demo;
mod down;
mod env;
mod exec;
mod lock;
mod product;
mod status;
mod test;
mod tokens;
mod up;

pub use api::api;
pub use demo::demo;
pub use down::down;
pub use env::env;
pub use exec::exec;
pub use lock::leave;
pub use status::{Row, RowState, rows, status};
pub use test::test;
pub use tokens::tokens;
pub use up::up;
