//! The calls of the Secret Service API, as freedesktop.org has it, that a store needs.
//!
//! What can be asked at once is asked at once: a read is two round trips where the default collection
//! has the name that GNOME gives it, else three. The whole service is never searched, only the default
//! collection: `KeePassXC` would ask a person to unlock something first. And the collection is called by
//! its own path, not by `aliases/default`: GNOME Keyring looks an alias up in one thread while another
//! one still writes it for a client that is new. For the same reason a session is never the first thing
//! that is asked for: the daemon notes a client in one thread while it may forget the last one in
//! another, and ends itself when it is to open a session for one that it has not noted. With the next
//! message it notes that one again.

use zeroize::Zeroizing;

use super::super::bus::{
    BusError, Call, CallError, Connection, Deadline, Malformed, ObjectPath, Pending, Reader,
    Refusal, Writer, session_bus,
};
use crate::environment::Environment;

const DESTINATION: &str = "org.freedesktop.secrets";

/// The service itself.
const SERVICE: &str = "/org/freedesktop/secrets";

/// What the default collection mostly is. It is asked for items before it is known to be the one.
const LIKELY_COLLECTION: &str = "/org/freedesktop/secrets/collection/login";

const SERVICE_INTERFACE: &str = "org.freedesktop.Secret.Service";
const COLLECTION_INTERFACE: &str = "org.freedesktop.Secret.Collection";
const ITEM_INTERFACE: &str = "org.freedesktop.Secret.Item";
const PROPERTIES_INTERFACE: &str = "org.freedesktop.DBus.Properties";

/// How many items are asked about at once: a bus holds only so much back for one client.
const AT_ONCE: usize = 64;

/// Names and values by which an item is found.
pub(super) type Attributes<'a> = [(&'a str, &'a str)];

/// What a new item is.
pub(super) struct NewItem<'a> {
    /// What a person sees.
    pub(super) label: &'a str,
    /// An item with the same ones is replaced.
    pub(super) attributes: &'a Attributes<'a>,
    /// The secret.
    pub(super) secret: &'a [u8],
    /// The kind of secret, as a MIME type.
    pub(super) content_type: &'a str,
}

/// Why the service did not do it. Each is a clause.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServiceError {
    /// The connection is of no more use.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// There is a bus, and no service on it.
    #[error("nobody serves it on the session bus")]
    Absent,
    /// Someone would have to unlock it.
    #[error("the default collection is locked")]
    Locked,
    /// There is nothing to keep items in.
    #[error("there is no default collection")]
    NoCollection,
    /// `KeePassXC` wants to ask before it keeps or removes anything.
    #[error("it would ask a person in a window")]
    WouldAsk,
    /// Anything else.
    #[error("{0}")]
    Refused(String),
}

impl From<CallError> for ServiceError {
    fn from(error: CallError) -> Self {
        let refusal = match error {
            CallError::Bus(error) => return Self::Bus(error),
            CallError::Refused(refusal) => refusal,
        };
        match refusal.name.as_str() {
            "org.freedesktop.DBus.Error.ServiceUnknown"
            | "org.freedesktop.DBus.Error.NameHasNoOwner" => Self::Absent,
            "org.freedesktop.Secret.Error.IsLocked" => Self::Locked,
            name if refusal.text.is_empty() => Self::Refused(name.to_owned()),
            name => Self::Refused(format!("{name}: {}", refusal.text)),
        }
    }
}

impl From<Malformed> for ServiceError {
    fn from(malformed: Malformed) -> Self {
        Self::Bus(malformed.into())
    }
}

/// The error of a call to the default collection.
fn of_collection(error: CallError) -> ServiceError {
    match error {
        CallError::Refused(refusal) if is_no_such_object(&refusal) => ServiceError::NoCollection,
        error => error.into(),
    }
}

/// Services say it in different words.
fn is_no_such_object(refusal: &Refusal) -> bool {
    matches!(
        refusal.name.as_str(),
        "org.freedesktop.Secret.Error.NoSuchObject"
            | "org.freedesktop.DBus.Error.UnknownObject"
            | "org.freedesktop.DBus.Error.UnknownMethod"
    )
}

/// The service, over a connection of its own.
pub(super) struct Service {
    connection: Connection,
    /// Through a session secrets come and go.
    session: Place,
    /// The default collection.
    collection: Place,
}

/// What a collection was asked when items are looked for.
struct AskedItems {
    collection: ObjectPath,
    locked: Pending,
    found: Pending,
}

/// A path that the service is asked for once.
enum Place {
    Unknown,
    Asked(Pending),
    Known(ObjectPath),
}

impl Service {
    /// Connects. Nothing is asked of the service yet.
    pub(super) fn connect(environment: &Environment, deadline: Deadline) -> Result<Self, BusError> {
        Ok(Self {
            connection: Connection::open(&session_bus(environment), deadline)?,
            session: Place::Unknown,
            collection: Place::Unknown,
        })
    }

    /// Sets how long what follows may take.
    pub(super) fn set_deadline(&mut self, deadline: Deadline) {
        self.connection.set_deadline(deadline);
    }

    /// The secret of the first item with these attributes.
    pub(super) fn secret(
        &mut self,
        attributes: &Attributes<'_>,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, ServiceError> {
        let asked = self.ask_likely_items(attributes)?;
        self.ask_session()?;
        let items = self.found(asked, attributes)?;
        let Some(item) = items.first() else {
            return Ok(None);
        };
        let mut arguments = Writer::default();
        arguments.text(self.session()?.as_str());
        let call = self.connection.call(&Call {
            member: "GetSecret",
            signature: "o",
            arguments,
            ..of(item, ITEM_INTERFACE)
        })?;
        let answer = match self.connection.answer(call) {
            // Removed by someone else in this very moment.
            Err(CallError::Refused(refusal)) if is_no_such_object(&refusal) => return Ok(None),
            answer => answer?,
        };
        Ok(Some(read_secret(answer.values("(oayays)")?)?))
    }

    /// Keeps an item, in the place of one with the same attributes.
    pub(super) fn create(&mut self, item: &NewItem<'_>) -> Result<(), ServiceError> {
        self.ask_collection()?;
        self.ask_session()?;
        let collection = self.collection()?;
        let session = self.session()?;
        let mut arguments = Writer::default();
        arguments.array(8, |properties| {
            properties.structure();
            properties.text("org.freedesktop.Secret.Item.Label");
            properties.signature("s");
            properties.text(item.label);
            properties.structure();
            properties.text("org.freedesktop.Secret.Item.Attributes");
            properties.signature("a{ss}");
            properties.dictionary(item.attributes);
        });
        arguments.structure();
        arguments.text(session.as_str());
        // A plain session has no parameters.
        arguments.blob(&[]);
        arguments.blob(item.secret);
        arguments.text(item.content_type);
        let replace = true;
        arguments.flag(replace);
        let call = self.connection.call(&Call {
            member: "CreateItem",
            signature: "a{sv}(oayays)b",
            arguments,
            ..of(&collection, COLLECTION_INTERFACE)
        });
        let call = call.map_err(|error| match error {
            BusError::TooLarge => ServiceError::Refused("the token is too large".to_owned()),
            error => error.into(),
        })?;
        let answer = self.connection.answer(call).map_err(of_collection)?;
        let mut values = answer.values("oo")?;
        values.skip("o")?;
        without_asking(values)
    }

    /// Removes every item with these attributes.
    pub(super) fn remove(&mut self, attributes: &Attributes<'_>) -> Result<(), ServiceError> {
        let mut result = Ok(());
        for items in self.search(attributes)?.chunks(AT_ONCE) {
            let mut calls = Vec::with_capacity(items.len());
            for item in items {
                let member = "Delete";
                calls.push(self.connection.call(&Call {
                    member,
                    ..of(item, ITEM_INTERFACE)
                })?);
            }
            for call in calls {
                result = result.and(self.removed(call));
            }
        }
        result
    }

    fn removed(&mut self, call: Pending) -> Result<(), ServiceError> {
        match self.connection.answer(call) {
            Err(CallError::Refused(refusal)) if is_no_such_object(&refusal) => Ok(()),
            answer => without_asking(answer?.values("o")?),
        }
    }

    /// The values that items with these attributes have for one more. What cannot be read is left
    /// out.
    pub(super) fn values(
        &mut self,
        attributes: &Attributes<'_>,
        name: &str,
    ) -> Result<Vec<String>, ServiceError> {
        let mut found = Vec::new();
        for items in self.search(attributes)?.chunks(AT_ONCE) {
            let mut calls = Vec::with_capacity(items.len());
            for item in items {
                calls.push(self.property(&of(item, ITEM_INTERFACE), "Attributes")?);
            }
            for call in calls {
                match self.connection.answer(call) {
                    Ok(answer) => found.extend(read_attribute(answer.values("v")?, name)?),
                    Err(CallError::Refused(_)) => {}
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(found)
    }

    /// The items of the default collection that have these attributes.
    fn search(&mut self, attributes: &Attributes<'_>) -> Result<Vec<ObjectPath>, ServiceError> {
        let asked = self.ask_likely_items(attributes)?;
        self.found(asked, attributes)
    }

    /// Asks the default collection, or the one that it most likely is.
    fn ask_likely_items(&mut self, attributes: &Attributes<'_>) -> Result<AskedItems, BusError> {
        self.ask_collection()?;
        let collection = match &self.collection {
            Place::Known(path) => path.clone(),
            _ => ObjectPath::parse(LIKELY_COLLECTION)?,
        };
        self.ask_items(collection, attributes)
    }

    /// What was found, in the default collection and in no other.
    fn found(
        &mut self,
        mut asked: AskedItems,
        attributes: &Attributes<'_>,
    ) -> Result<Vec<ObjectPath>, ServiceError> {
        let collection = self.collection()?;
        if asked.collection != collection {
            asked = self.ask_items(collection, attributes)?;
        }
        self.items(asked)
    }

    fn ask_items(
        &mut self,
        collection: ObjectPath,
        attributes: &Attributes<'_>,
    ) -> Result<AskedItems, BusError> {
        let locked = self.property(&of(&collection, COLLECTION_INTERFACE), "Locked")?;
        let mut arguments = Writer::default();
        arguments.dictionary(attributes);
        let found = self.connection.call(&Call {
            member: "SearchItems",
            signature: "a{ss}",
            arguments,
            ..of(&collection, COLLECTION_INTERFACE)
        })?;
        Ok(AskedItems {
            collection,
            locked,
            found,
        })
    }

    /// Of a locked collection there are none to be had: `KWallet` would find them all the same, and
    /// give out empty secrets.
    fn items(&mut self, asked: AskedItems) -> Result<Vec<ObjectPath>, ServiceError> {
        let answer = (self.connection.answer(asked.locked)).map_err(of_collection)?;
        let mut values = answer.values("v")?;
        if values.signature()? != "b" {
            return Err(BusError::Malformed.into());
        }
        if values.flag()? {
            return Err(ServiceError::Locked);
        }
        let answer = (self.connection.answer(asked.found)).map_err(of_collection)?;
        let mut paths = answer.values("ao")?.array(4)?;
        let mut items = Vec::new();
        while !paths.is_at_end() {
            items.push(ObjectPath::parse(paths.text()?)?);
        }
        Ok(items)
    }

    /// Asks for a property. The object is given as a call of it that has no method yet.
    fn property(&mut self, of: &Call<'_>, name: &str) -> Result<Pending, BusError> {
        let mut arguments = Writer::default();
        arguments.text(of.interface);
        arguments.text(name);
        self.connection.call(&Call {
            destination: of.destination,
            path: of.path,
            interface: PROPERTIES_INTERFACE,
            member: "Get",
            signature: "ss",
            arguments,
        })
    }

    /// Asks for a session, unless there is one. The bus is private to the user, so a plain session
    /// shows nothing that the user could not ask for anyway.
    fn ask_session(&mut self) -> Result<(), BusError> {
        if let Place::Unknown = self.session {
            let mut arguments = Writer::default();
            arguments.text("plain");
            // The algorithm's input: a variant, with nothing in it.
            arguments.signature("s");
            arguments.text("");
            let call = self.ask_service("OpenSession", "sv", arguments)?;
            self.session = Place::Asked(call);
        }
        Ok(())
    }

    fn session(&mut self) -> Result<ObjectPath, ServiceError> {
        let path = match std::mem::replace(&mut self.session, Place::Unknown) {
            Place::Known(path) => path,
            Place::Asked(call) => {
                let answer = self.connection.answer(call)?;
                let mut values = answer.values("vo")?;
                values.skip("v")?;
                ObjectPath::parse(values.text()?)?
            }
            Place::Unknown => {
                self.ask_session()?;
                return self.session();
            }
        };
        self.session = Place::Known(path.clone());
        Ok(path)
    }

    /// Asks which collection is the default one, unless that is known.
    fn ask_collection(&mut self) -> Result<(), BusError> {
        if let Place::Unknown = self.collection {
            let mut arguments = Writer::default();
            arguments.text("default");
            let call = self.ask_service("ReadAlias", "s", arguments)?;
            self.collection = Place::Asked(call);
        }
        Ok(())
    }

    fn collection(&mut self) -> Result<ObjectPath, ServiceError> {
        let path = match std::mem::replace(&mut self.collection, Place::Unknown) {
            Place::Known(path) => path,
            Place::Asked(call) => {
                let answer = self.connection.answer(call)?;
                ObjectPath::parse(answer.values("o")?.text()?)?
            }
            Place::Unknown => {
                self.ask_collection()?;
                return self.collection();
            }
        };
        if path.is_root() {
            return Err(ServiceError::NoCollection);
        }
        self.collection = Place::Known(path.clone());
        Ok(path)
    }

    fn ask_service(
        &mut self,
        member: &str,
        signature: &str,
        arguments: Writer,
    ) -> Result<Pending, BusError> {
        self.connection.call(&Call {
            destination: DESTINATION,
            path: SERVICE,
            interface: SERVICE_INTERFACE,
            member,
            signature,
            arguments,
        })
    }
}

/// A call of an object that has no method yet.
fn of<'a>(object: &'a ObjectPath, interface: &'a str) -> Call<'a> {
    Call {
        destination: DESTINATION,
        path: object.as_str(),
        interface,
        ..Call::default()
    }
}

/// Whether something was done, or waits for a prompt that would ask a person. It is never opened.
fn without_asking(mut prompt: Reader<'_>) -> Result<(), ServiceError> {
    if ObjectPath::parse(prompt.text()?)?.is_root() {
        Ok(())
    } else {
        Err(ServiceError::WouldAsk)
    }
}

fn read_secret(mut values: Reader<'_>) -> Result<Zeroizing<Vec<u8>>, BusError> {
    values.structure()?;
    // The session and its parameters.
    values.skip("oay")?;
    Ok(Zeroizing::new(values.blob()?.to_vec()))
}

fn read_attribute(mut values: Reader<'_>, name: &str) -> Result<Option<String>, BusError> {
    if values.signature()? != "a{ss}" {
        return Err(BusError::Malformed);
    }
    let mut entries = values.array(8)?;
    while !entries.is_at_end() {
        entries.structure()?;
        let (key, value) = (entries.text()?, entries.text()?);
        if key == name {
            return Ok(Some(value.to_owned()));
        }
    }
    Ok(None)
}
