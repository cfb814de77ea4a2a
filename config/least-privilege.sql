-- A user of PostgreSQL that can do a worker's part and no more: read and write rows of the service's two tables. It makes,
-- changes and drops nothing. Run it as the owner of the tables (or a superuser), after carecase db upgrade, each time:
--   ROLE_PASSWORD_FILE=secrets/worker_postgres_password \
--     psql --host HOST --username OWNER --dbname DATABASE --no-psqlrc --set role=carecase_worker --file config/least-privilege.sql
-- Without ROLE_PASSWORD_FILE the user is one that is there already. The password stands in no command.
\set ON_ERROR_STOP 1
\set password `cat "${ROLE_PASSWORD_FILE:-/dev/null}"`
SELECT :'password' <> '' AS has_password, NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'role') AS is_new \gset

BEGIN;
\if :has_password
  \if :is_new
    CREATE ROLE :"role";
  \endif
  ALTER ROLE :"role" LOGIN PASSWORD :'password';
\endif

SELECT current_database() AS database, current_schema() AS schema \gset
-- of what everybody may do, by default or by an earlier grant: leave these two out if others use this database, too
REVOKE CREATE, TEMPORARY, CONNECT ON DATABASE :"database" FROM PUBLIC;
REVOKE CREATE, USAGE ON SCHEMA :"schema" FROM PUBLIC;
-- and of what this user was granted before
REVOKE ALL ON care_case, ingest_ledger, carecase_schema FROM PUBLIC, :"role";
REVOKE ALL ON SCHEMA :"schema" FROM :"role";
REVOKE ALL ON DATABASE :"database" FROM :"role";

GRANT CONNECT ON DATABASE :"database" TO :"role";
GRANT USAGE ON SCHEMA :"schema" TO :"role";
GRANT SELECT, INSERT, UPDATE ON care_case TO :"role";
-- old rows of the ledger are taken out once nobody can ask for them any more
GRANT SELECT, INSERT, DELETE ON ingest_ledger TO :"role";
GRANT SELECT ON carecase_schema TO :"role";
COMMIT;
