//! Stdout is data, stderr is for people.

mod live;
mod screen;
mod table;

pub use live::Line;
pub use screen::Ui;
pub use table::table;
