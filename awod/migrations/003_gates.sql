-- Gates: where an order waits for a person, where it waits now, and the highest place that was approved.
ALTER TABLE work_orders ADD COLUMN gates TEXT NOT NULL DEFAULT '[]';
ALTER TABLE work_orders ADD COLUMN gate TEXT;
ALTER TABLE work_orders ADD COLUMN gate_passed INTEGER NOT NULL DEFAULT 0;
