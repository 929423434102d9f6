"""The options of jobs on exported bundles."""

from __future__ import annotations

from dataclasses import replace

from niwt_tf.config.options import Option

BUNDLE = Option(
    "bundle",
    "str",
    None,
    "The exported version, or the folder of its versions: then the newest.",
    optional=True,
)
NAME = Option("name", "str", None, "The class.", optional=True)

ADD_CLASS_OPTIONS = (
    BUNDLE,
    NAME,
    Option("attributes", "str", None, "JSON or CSV file with the value of each attribute.", optional=True),
    Option("text", "str", None, "What the class looks like, in words.", optional=True),
    Option("text_file", "str", None, "A file with that text.", optional=True),
    Option("cards", "str", None, "CSV of several classes, described by attributes, by text or by files.", optional=True),
    Option("source", "str", None, "Where the description comes from, for the class's card.", optional=True),
    Option(
        "missing",
        "str",
        "error",
        "What attributes get that are not named: refuse, or give the seen classes' mean.",
        choices=("error", "mean"),
    ),
)
RENAME_CLASS_OPTIONS = (BUNDLE, NAME, Option("new_name", "str", None, "What it is called from now on.", optional=True))
REMOVE_CLASS_OPTIONS = (BUNDLE, NAME)
LIST_CLASSES_OPTIONS = (
    BUNDLE,
    Option("format", "str", "table", "A table for people, or all of the cards.", choices=("table", "json")),
)

CLASSIFY_OPTIONS = (
    Option("images", "str", None, "Image files, and folders of them (folders within too), with commas between.", optional=True),
    Option("server", "str", None, "A server: grpc://host:8500 or http://host:8501.", optional=True),
    Option("name", "str", None, "What the server calls the model.", optional=True),
    Option("model_version", "str", None, "A version's number or a label on the server; by default the newest.", optional=True),
    replace(BUNDLE, help=f"{BUNDLE.help} Instead of a server."),
    Option("top", "int", 1, "Classes to show of each image, at most; a bundle answers five.", at_least=1),
    Option("explain", "bool", False, "Say in words what speaks for the best class."),
    Option("format", "str", "table", "What goes to the standard output.", choices=("table", "json", "csv")),
    Option("json", "str", None, "A file to write the answers to as JSON as well.", optional=True),
    Option("timeout", "float", 30.0, "Seconds for one batch on a server, with its repetitions.", above=0),
    Option("retries", "int", 3, "Repetitions of one batch that a server is too busy to answer.", at_least=0, below=101),
    Option("batch_size", "int", 32, "Images a request.", at_least=1, below=4097),
    Option("progress", "bool", True, "Show a progress bar after five seconds."),
)

CHECK_OPTIONS = (
    BUNDLE,
    Option("images", "str", None, "Image files to ask about, with commas between them; by default drawn ones.", optional=True),
)

REFINE_CLASS_OPTIONS = (
    BUNDLE,
    NAME,
    Option(
        "images", "str", None, "A folder of photographs of the class, or files with commas between them.", optional=True
    ),
)

STUDIO_OPTIONS = (
    BUNDLE,
    Option("images", "str", None, "Folder of test images, in it and below; it is only read.", optional=True),
    Option("most_images", "int", 200, "Most test images that are taken, at even distances.", at_least=1, below=5001),
    Option("port", "int", 8600, "Where the page is.", at_least=1, below=65_536),
    Option("host", "str", "127.0.0.1", "From where it can be reached; 127.0.0.1 is this machine alone."),
)
