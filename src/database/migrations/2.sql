-- From version 1 to version 2, which has not been released: all of its changes go into this one step. The tables must become what
-- schema.sql makes in a new file, column by column in the same order, which a test compares. The program sets user_version.

-- What a double cannot hold of a number, and times of producers whose clock is ahead.
ALTER TABLE opportunities ADD COLUMN amount_text TEXT;
ALTER TABLE opportunities ADD COLUMN last_modified_sent TEXT;
CREATE INDEX opportunities_ahead ON opportunities (last_modified_sent) WHERE last_modified_sent IS NOT NULL;
ALTER TABLE projects ADD COLUMN budget_text TEXT;
ALTER TABLE projects ADD COLUMN last_modified_sent TEXT;
CREATE INDEX projects_ahead ON projects (last_modified_sent) WHERE last_modified_sent IS NOT NULL;
