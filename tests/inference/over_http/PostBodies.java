import java.io.ByteArrayInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;

/**
 * Posts every body that is given to a URL with Java's own client as it comes, which offers HTTP/2 on every new
 * connection: all at once, each with its length and again in chunks. Prints status and answer of each, in that order.
 */
public class PostBodies {
  public static void main(String[] arguments) {
    HttpClient client = HttpClient.newHttpClient();
    List<CompletableFuture<String>> answers = new ArrayList<>();
    for (int i = 1; i < arguments.length; i++) {
      byte[] body = arguments[i].getBytes(java.nio.charset.StandardCharsets.UTF_8);
      answers.add(post(client, arguments[0], BodyPublishers.ofByteArray(body)));
      answers.add(post(client, arguments[0], BodyPublishers.ofInputStream(() -> new ByteArrayInputStream(body))));
    }
    answers.forEach(answer -> System.out.println(answer.join()));
  }

  private static CompletableFuture<String> post(HttpClient client, String url, BodyPublisher body) {
    HttpRequest request =
        HttpRequest.newBuilder(URI.create(url)).header("Content-Type", "application/json").POST(body).build();
    return client
        .sendAsync(request, BodyHandlers.ofString())
        .thenApply(answer -> answer.statusCode() + " " + answer.body());
  }
}
