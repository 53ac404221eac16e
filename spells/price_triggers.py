# ruff: noqa: S608 - the names of our own tables, and words of our own
"""Triggers that keep what a tool cost, on both databases.

`Tool.pricing` is what a tool costs now. Whenever it changes, and when a tool comes, they write a `PriceTable` with the
next number and the new prices, and put that number into `Tool.price_table`. They refuse any other change of a price
table, one that is written by another hand, and prices that are none. So a number names the same prices for ever, and
the newest table cannot differ from the tool's row. `spells.triggers` installs and lifts them.
"""

from django.db.backends.utils import CursorWrapper

from spells.models import PriceTable, Tool

TABLE = PriceTable._meta.db_table
_TOOL = Tool._meta.db_table

_KEPT = "a price table never changes: change the pricing of its tool, which makes the next one"
_WRITTEN = "a price table is written by the database, when the pricing of its tool changes"
_NO_PRICES = 'prices are an object of amounts in US dollars by unit, as plain decimal texts: {"per_second": "0.0012"}'

# What was changed while the triggers were lifted, as on the first migrate.
_CATCH_UP = (
    f"""
    UPDATE {_TOOL} SET price_table = price_table + 1 WHERE EXISTS (
        SELECT 1 FROM {TABLE} t WHERE t.tool_id = {_TOOL}.id AND t.number = {_TOOL}.price_table AND t.prices <> {_TOOL}.pricing)
    """,
    f"""
    INSERT INTO {TABLE} (tool_id, number, prices, created_at) SELECT id, price_table, pricing, CURRENT_TIMESTAMP FROM {_TOOL}
    WHERE NOT EXISTS (SELECT 1 FROM {TABLE} t WHERE t.tool_id = {_TOOL}.id AND t.number = {_TOOL}.price_table)
    """,
)


def catch_up(cursor: CursorWrapper) -> None:
    """Write the tables that are missing. The same again does nothing."""
    for statement in _CATCH_UP:
        cursor.execute(statement)


_SQLITE = (
    f"""
    CREATE TRIGGER "{TABLE}_is_written_by_its_tool" BEFORE INSERT ON "{TABLE}"
    WHEN NOT EXISTS (SELECT 1 FROM "{_TOOL}" WHERE id = NEW.tool_id AND price_table = NEW.number AND pricing IS NEW.prices)
    BEGIN SELECT RAISE(ABORT, '{_WRITTEN}'); END
    """,
    f"""
    CREATE TRIGGER "{TABLE}_has_prices" BEFORE INSERT ON "{TABLE}"
    WHEN json_type(NEW.prices) IS NOT 'object' OR EXISTS (
        SELECT 1 FROM json_each(NEW.prices) WHERE type IS NOT 'text' OR length(value) > 30 OR value GLOB '*[^0-9.]*'
        OR value GLOB '*.*.*' OR value NOT GLOB '[0-9]*' OR value NOT GLOB '*[0-9]' OR CAST(value AS REAL) >= 1e9)
    BEGIN SELECT RAISE(ABORT, '{_NO_PRICES}'); END
    """,
    f"""
    CREATE TRIGGER "{TABLE}_never_changes" BEFORE UPDATE ON "{TABLE}"
    BEGIN SELECT RAISE(ABORT, '{_KEPT}'); END
    """,
    f"""
    CREATE TRIGGER "{TABLE}_goes_with_its_tool" BEFORE DELETE ON "{TABLE}" WHEN EXISTS (SELECT 1 FROM "{_TOOL}" WHERE id = OLD.tool_id)
    BEGIN SELECT RAISE(ABORT, '{_KEPT}'); END
    """,
    # No trigger fires itself (`recursive_triggers` is off), and that of updates not while there is no table yet: so the
    # updates inside of these end there.
    f"""
    CREATE TRIGGER "{_TOOL}_starts_its_prices" AFTER INSERT ON "{_TOOL}" BEGIN
        UPDATE "{_TOOL}" SET price_table = 1 WHERE id = NEW.id AND price_table <> 1;
        INSERT INTO "{TABLE}" (tool_id, number, prices, created_at)
        VALUES (NEW.id, 1, NEW.pricing, strftime('%Y-%m-%d %H:%M:%f', 'now'));
    END
    """,
    f"""
    CREATE TRIGGER "{_TOOL}_keeps_its_prices" AFTER UPDATE ON "{_TOOL}"
    WHEN (NEW.pricing IS NOT OLD.pricing OR NEW.price_table IS NOT OLD.price_table)
    AND EXISTS (SELECT 1 FROM "{TABLE}" WHERE tool_id = OLD.id) BEGIN
        UPDATE "{_TOOL}" SET price_table = OLD.price_table + (NEW.pricing IS NOT OLD.pricing) WHERE id = NEW.id;
        INSERT INTO "{TABLE}" (tool_id, number, prices, created_at)
        SELECT NEW.id, OLD.price_table + 1, NEW.pricing, strftime('%Y-%m-%d %H:%M:%f', 'now') WHERE NEW.pricing IS NOT OLD.pricing;
    END
    """,
    f"""
    CREATE TRIGGER "{_TOOL}_takes_its_prices_along" AFTER DELETE ON "{_TOOL}"
    BEGIN DELETE FROM "{TABLE}" WHERE tool_id = OLD.id; END
    """,
)

_POSTGRESQL = (
    f"""
    CREATE OR REPLACE FUNCTION spells_guard_price_table() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'UPDATE' OR (TG_OP = 'DELETE' AND EXISTS (SELECT 1 FROM {_TOOL} WHERE id = OLD.tool_id)) THEN
            RAISE EXCEPTION '{_KEPT}' USING ERRCODE = 'integrity_constraint_violation';
        ELSIF TG_OP = 'DELETE' THEN
            RETURN OLD;
        END IF;
        IF jsonb_typeof(NEW.prices) <> 'object' OR EXISTS (
            SELECT 1 FROM jsonb_each(CASE WHEN jsonb_typeof(NEW.prices) = 'object' THEN NEW.prices ELSE '{{}}' END)
            WHERE jsonb_typeof(value) <> 'string' OR value #>> '{{}}' !~ '^[0-9]{{1,9}}(\\.[0-9]{{1,20}})?$'
        ) THEN
            RAISE EXCEPTION '{_NO_PRICES}' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        IF NOT EXISTS (SELECT 1 FROM {_TOOL} WHERE id = NEW.tool_id AND price_table = NEW.number AND pricing = NEW.prices) THEN
            RAISE EXCEPTION '{_WRITTEN}' USING ERRCODE = 'integrity_constraint_violation';
        END IF;
        RETURN NEW;
    END $$
    """,
    """
    CREATE OR REPLACE FUNCTION spells_number_prices() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'INSERT' THEN
            NEW.price_table := 1;
        ELSIF NEW.pricing IS DISTINCT FROM OLD.pricing THEN
            NEW.price_table := OLD.price_table + 1;
        ELSE
            NEW.price_table := OLD.price_table;
        END IF;
        RETURN NEW;
    END $$
    """,
    f"""
    CREATE OR REPLACE FUNCTION spells_keep_prices() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' THEN
            DELETE FROM {TABLE} WHERE tool_id = OLD.id;
        ELSIF TG_OP = 'INSERT' OR NEW.price_table <> OLD.price_table THEN
            INSERT INTO {TABLE} (tool_id, number, prices, created_at) VALUES (NEW.id, NEW.price_table, NEW.pricing, clock_timestamp());
        END IF;
        RETURN NULL;
    END $$
    """,
    f"""
    CREATE OR REPLACE TRIGGER {TABLE}_is_kept BEFORE INSERT OR UPDATE OR DELETE ON {TABLE}
    FOR EACH ROW EXECUTE FUNCTION spells_guard_price_table()
    """,
    f"""
    CREATE OR REPLACE TRIGGER {_TOOL}_numbers_prices BEFORE INSERT OR UPDATE ON {_TOOL}
    FOR EACH ROW EXECUTE FUNCTION spells_number_prices()
    """,
    f"""
    CREATE OR REPLACE TRIGGER {_TOOL}_keeps_prices AFTER INSERT OR UPDATE OR DELETE ON {_TOOL}
    FOR EACH ROW EXECUTE FUNCTION spells_keep_prices()
    """,
)  # fmt: skip


def statements(vendor: str) -> tuple[str, ...]:
    """Return what creates the triggers in a database of that vendor."""
    return _POSTGRESQL if vendor == "postgresql" else _SQLITE
