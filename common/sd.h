/* systemd's side channels: readiness, status, watchdog, sockets that were opened for us. */
#ifndef COMMON_SD_H
#define COMMON_SD_H

#include <stdint.h>

void sd_ready(void);
void sd_status(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void sd_reloading(void);
void sd_stopping(void);
void sd_ping(void);				/* watchdog */
int64_t sd_watchdog_us(void);			/* interval asked for, or 0 */
int sd_listen_socket(void);			/* the one listening Unix socket that was passed, or -1 */
int sd_listen_inet(void);			/* the same of a TCP socket */

#endif
