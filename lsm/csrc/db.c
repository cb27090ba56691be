/* db.c: opening and closing, errors, file numbers, snapshots. */
#include "lsm/csrc/db.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void free_db(lsm_db *db) {
    for (uint32_t i = 0; i < db->n_spaces; i++) free(db->spaces[i]);
    free(db->spaces);
    free(db->dir);
    free(db->snapshots);
    free(db->dead);
    pthread_mutex_destroy(&db->write_lock);
    pthread_mutex_destroy(&db->misc_lock);
    free(db);
}

void lsm_db_unref(lsm_db *db) {
    if (atomic_fetch_sub_explicit(&db->refs, 1, memory_order_acq_rel) == 1) free_db(db);
}

void lsm_db_free(lsm_db *db) { lsm_db_unref(db); }

int lsm_db_open(const lsm_db_config *c, lsm_db **out, lsm_error *error) {
    if (c->abi != LSM_ABI || c->size < sizeof *c) return lsm_fail(error, LSM_INVALID, c->dir, 0, "lsm_db_config of another version");
    lsm_db *db = calloc(1, sizeof *db);
    if (!db) return lsm_fail(error, LSM_NOMEM, c->dir, 0, "out of memory");
    atomic_init(&db->refs, 1);
    db->env = c->env;
    db->wal_ops = c->wal;
    db->wal_config = c->wal_config;
    db->dir = strdup(c->dir);
    if (!db->dir) {
        free(db);
        return lsm_fail(error, LSM_NOMEM, c->dir, 0, "out of memory");
    }
    db->sync_mode = c->disable_wal ? REC_SYNC_NONE : c->wal_config.sync_mode;
    pthread_mutex_init(&db->write_lock, NULL);
    pthread_mutex_init(&db->misc_lock, NULL);
    atomic_init(&db->last, c->last_sequence);
    atomic_init(&db->visible, c->last_sequence);
    atomic_init(&db->next_number, c->first_log + 1);
    if (!c->disable_wal) {
        int r = c->wal->create(c->env->fs, c->dir, c->first_log, &c->wal_config, &db->wal);
        if (r < 0) {
            free_db(db);
            return lsm_fail_io(error, r, c->dir, "create log");
        }
    }
    *out = db;
    return LSM_OK;
}

int lsm_db_close(lsm_db *db, lsm_error *error) {
    atomic_store(&db->closed, 1);
    const struct timespec wait = {0, 20000};
    /* uncovered (race): a look-up is inside at the moment of the close */
    while (atomic_load_explicit(&db->inside, memory_order_acquire)) nanosleep(&wait, NULL);
    int status = LSM_OK;
    pthread_mutex_lock(&db->write_lock); /* questions about logs and memory may still come */
    for (uint32_t i = 0; i < db->n_spaces; i++) lsm_super_swap(db->spaces[i], NULL);
    rec_wal *wal = db->wal;
    db->wal = NULL;
    pthread_mutex_unlock(&db->write_lock);
    /* uncovered (race): a look-up is inside at the moment of the close */
    while (atomic_load_explicit(&db->inside, memory_order_acquire)) nanosleep(&wait, NULL); /* look-ups that were solo and had to wait */
    if (wal) {
        int r = db->wal_ops->close(wal);
        if (r < 0 && !atomic_load(&db->poison)) status = lsm_fail_io(error, r, "log", "close log");
    }
    return status;
}

void lsm_db_disown(lsm_db *db) {
    atomic_store(&db->closed, 1);
    for (uint32_t i = 0; i < db->n_spaces; i++) atomic_store(&db->spaces[i]->super, NULL);
    db->wal = NULL; /* the parent's; closing it would write */
}

void lsm_db_poison(lsm_db *db, int status, const char *why) {
    pthread_mutex_lock(&db->misc_lock);
    if (!atomic_load(&db->poison)) {
        lsm_fail(&db->why, status, "", 0, "%s", why);
        atomic_store(&db->poison, status);
    }
    pthread_mutex_unlock(&db->misc_lock);
}

int lsm_db_status(lsm_db *db, lsm_error *out) {
    pthread_mutex_lock(&db->misc_lock);
    int status = atomic_load(&db->poison);
    if (status && out) *out = db->why;
    pthread_mutex_unlock(&db->misc_lock);
    return status;
}

int lsm_remember(lsm_db *db, const lsm_error *e) {
    pthread_mutex_lock(&db->misc_lock);
    lsm_thread_error *slot = NULL;
    for (int i = 0; i < LSM_ERROR_SLOTS && !slot; i++)
        if (db->errors[i].used && pthread_equal(db->errors[i].thread, pthread_self())) slot = &db->errors[i];
    if (!slot) slot = &db->errors[db->next_error++ % LSM_ERROR_SLOTS];
    slot->used = 1;
    slot->thread = pthread_self();
    slot->error = *e;
    pthread_mutex_unlock(&db->misc_lock);
    return e->status;
}

int lsm_last_error(lsm_db *db, lsm_error *out) {
    int found = 0;
    pthread_mutex_lock(&db->misc_lock);
    for (int i = 0; i < LSM_ERROR_SLOTS && !found; i++)
        if (db->errors[i].used && pthread_equal(db->errors[i].thread, pthread_self())) {
            *out = db->errors[i].error;
            found = 1;
        }
    pthread_mutex_unlock(&db->misc_lock);
    return found ? LSM_OK : LSM_NOT_FOUND;
}

uint64_t lsm_db_last_sequence(lsm_db *db) { return atomic_load(&db->last); }
uint64_t lsm_db_visible(lsm_db *db) { return atomic_load(&db->visible); }
uint64_t lsm_db_take_numbers(lsm_db *db, uint64_t n) { return atomic_fetch_add(&db->next_number, n); }

void lsm_db_raise_number(lsm_db *db, uint64_t next) {
    uint64_t now = atomic_load(&db->next_number);
    /* uncovered (race): a number is taken at the moment when they are raised */
    while (now < next && !atomic_compare_exchange_weak(&db->next_number, &now, next)) {
    }
}

static uint64_t ask_log(lsm_db *db, uint64_t (*what)(rec_wal *)) {
    pthread_mutex_lock(&db->write_lock);
    uint64_t v = db->wal ? what(db->wal) : 0;
    pthread_mutex_unlock(&db->write_lock);
    return v;
}
uint64_t lsm_db_log_number(lsm_db *db) { return ask_log(db, db->wal_ops->number); }
uint64_t lsm_db_log_used(lsm_db *db) { return ask_log(db, db->wal_ops->used); }
uint64_t lsm_db_log_time(lsm_db *db) { return ask_log(db, db->wal_ops->time); }

int lsm_db_log_note(lsm_db *db, const uint8_t *data, size_t n, lsm_error *error) {
    if (lsm_enter(db) != LSM_OK) return lsm_fail(error, LSM_CLOSED, "", 0, "the database is closed");
    pthread_mutex_lock(&db->write_lock);
    int status = LSM_OK, r = 0;
    if (atomic_load(&db->poison)) {
        lsm_db_status(db, error);
        status = LSM_READONLY;
        if (error) error->status = status;
    } else if (db->wal && (r = db->wal_ops->note(db->wal, data, n)) == 1) {
        status = lsm_rotate_locked(db, n, error);
        if (status == LSM_OK) r = db->wal_ops->note(db->wal, data, n);
    }
    if (status == LSM_OK && r) {
        if (r == 1) r = -27; /* EFBIG */
        lsm_db_poison(db, LSM_IO, "the log could not be written");
        status = lsm_fail_io(error, r, "log", "write log");
    }
    pthread_mutex_unlock(&db->write_lock);
    lsm_leave(db);
    return status;
}

int lsm_db_sync(lsm_db *db, lsm_error *error) {
    if (lsm_enter(db) != LSM_OK) return lsm_fail(error, LSM_CLOSED, "", 0, "the database is closed");
    int status = LSM_OK;
    if (atomic_load(&db->poison)) {
        lsm_db_status(db, error);
        status = LSM_READONLY;
        if (error) error->status = status;
    } else {
        pthread_mutex_lock(&db->write_lock);
        rec_wal *wal = db->wal;
        if (wal) atomic_fetch_add(&db->syncing, 1);
        pthread_mutex_unlock(&db->write_lock);
        if (wal) {
            int slot = lsm_watch_begin(db->env->watch, LSM_W_LOG_SYNC), r = db->wal_ops->sync_to(wal, UINT64_MAX);
            lsm_watch_end(db->env->watch, slot);
            atomic_fetch_sub(&db->syncing, 1);
            if (r < 0) {
                lsm_db_poison(db, LSM_IO, "the log could not be synced");
                status = lsm_fail_io(error, r, "log", "sync log");
            }
        }
    }
    lsm_leave(db);
    return status;
}

int lsm_db_new_log(lsm_db *db, uint64_t number, lsm_error *error) {
    if (lsm_enter(db) != LSM_OK) return lsm_fail(error, LSM_CLOSED, "", 0, "the database is closed");
    int status = LSM_OK;
    rec_wal *fresh = NULL;
    if (db->wal) {
        int r = db->wal_ops->create(db->env->fs, db->dir, number, &db->wal_config, &fresh);
        if (r < 0) status = lsm_fail_io(error, r, "log", "start log segment");
    }
    if (fresh) {
        const struct timespec wait = {0, 20000};
        pthread_mutex_lock(&db->write_lock);
        rec_wal *old = db->wal;
        db->wal = fresh;
        pthread_mutex_unlock(&db->write_lock);
        /* uncovered (race): a sync is under way when the log is replaced */
        while (atomic_load_explicit(&db->syncing, memory_order_acquire)) nanosleep(&wait, NULL);
        db->wal_ops->close(old); /* a dead log syncs nothing; what another fails to is in the memtables */
    }
    lsm_leave(db);
    return status;
}

void lsm_db_in_doubt(lsm_db *db, int on) { atomic_store(&db->in_doubt, on); }

void lsm_db_revive(lsm_db *db) {
    pthread_mutex_lock(&db->write_lock);
    pthread_mutex_lock(&db->misc_lock);
    uint64_t last = atomic_load(&db->last);
    if (atomic_load(&db->visible) < last) atomic_store(&db->visible, last);
    atomic_store(&db->poison, 0);
    pthread_mutex_unlock(&db->misc_lock);
    pthread_mutex_unlock(&db->write_lock);
}

void lsm_db_prepare_log(lsm_db *db) {
    if (lsm_enter(db) != LSM_OK) return;
    pthread_mutex_lock(&db->write_lock);
    rec_wal *wal = atomic_load(&db->poison) ? NULL : db->wal;
    if (wal) atomic_fetch_add(&db->syncing, 1);
    pthread_mutex_unlock(&db->write_lock);
    if (wal) {
        db->wal_ops->prepare(
            wal, lsm_db_take_numbers(db, 1)); /* when it fails, the next segment is made in its turn, and an error is told then */
        atomic_fetch_sub(&db->syncing, 1);
    }
    lsm_leave(db);
}

int lsm_db_rotate_log(lsm_db *db, lsm_error *error) {
    if (lsm_enter(db) != LSM_OK) return lsm_fail(error, LSM_CLOSED, "", 0, "the database is closed");
    pthread_mutex_lock(&db->write_lock);
    int status = lsm_rotate_locked(db, 0, error);
    pthread_mutex_unlock(&db->write_lock);
    lsm_leave(db);
    return status;
}

uint32_t lsm_db_take_dead(lsm_db *db, uint64_t *out, uint32_t cap) {
    pthread_mutex_lock(&db->misc_lock);
    uint32_t n = db->n_dead < cap ? db->n_dead : cap;
    if (n) {
        memcpy(out, db->dead, n * sizeof *out);
        memmove(db->dead, db->dead + n, (db->n_dead - n) * sizeof *out);
        db->n_dead -= n;
    }
    pthread_mutex_unlock(&db->misc_lock);
    return n;
}

/* Makes room for one more; called with misc_lock held. */
static int grow(uint64_t **array, uint32_t n, uint32_t *cap) {
    if (n < *cap) return LSM_OK;
    uint32_t more = *cap ? *cap * 2 : 32;
    uint64_t *bigger = realloc(*array, more * sizeof **array);
    if (!bigger) return LSM_NOMEM;
    *array = bigger;
    *cap = more;
    return LSM_OK;
}

int lsm_add_dead(lsm_db *db, uint64_t number) {
    pthread_mutex_lock(&db->misc_lock);
    int status = grow(&db->dead, db->n_dead, &db->cap_dead);
    if (status == LSM_OK) db->dead[db->n_dead++] = number;
    pthread_mutex_unlock(&db->misc_lock);
    return status;
}

uint64_t lsm_snapshot(lsm_db *db) {
    pthread_mutex_lock(&db->misc_lock);
    uint64_t seq = UINT64_MAX;
    if (grow(&db->snapshots, db->n_snapshots, &db->cap_snapshots) == LSM_OK) {
        seq = atomic_load(&db->visible);
        db->snapshots[db->n_snapshots++] = seq; /* what is visible never decreases: they stay sorted */
    }
    pthread_mutex_unlock(&db->misc_lock);
    return seq;
}

void lsm_snapshot_release(lsm_db *db, uint64_t seq) {
    pthread_mutex_lock(&db->misc_lock);
    for (uint32_t i = 0; i < db->n_snapshots; i++)
        if (db->snapshots[i] == seq) {
            memmove(db->snapshots + i, db->snapshots + i + 1, (db->n_snapshots - i - 1) * sizeof *db->snapshots);
            db->n_snapshots--;
            break;
        }
    pthread_mutex_unlock(&db->misc_lock);
}

uint32_t lsm_snapshots(lsm_db *db, uint64_t *out, uint32_t cap) {
    uint32_t n = 0;
    pthread_mutex_lock(&db->misc_lock);
    for (uint32_t i = 0; i < db->n_snapshots; i++) {
        if (i && db->snapshots[i] == db->snapshots[i - 1]) continue;
        if (n < cap) out[n] = db->snapshots[i];
        n++;
    }
    pthread_mutex_unlock(&db->misc_lock);
    return n;
}
